import ExecboxModel

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// One entry of a folder (PROTOCOL §4).
public struct FileEntryBody: Equatable, Sendable, Codable {
    /// With U+FFFD in the place of what is no UTF-8.
    public var name: String
    /// The name's bytes in base64, where it is no UTF-8.
    public var nameBase64: String?
    public var size: Int64
    public var isDir: Bool
    /// Permission bits: 0644 is 420.
    public var mode: UInt32
    public var modifiedAt: Timestamp
    /// Where a symbolic link leads.
    public var target: String?

    public init(name: [UInt8], size: Int64, isDir: Bool, mode: UInt32, modifiedAt: Timestamp, target: [UInt8]?) {
        self.name = String(decoding: name, as: UTF8.self)
        nameBase64 = String(validating: name, as: UTF8.self) == nil ? Data(name).base64EncodedString() : nil
        self.size = size
        self.isDir = isDir
        self.mode = mode
        self.modifiedAt = modifiedAt
        self.target = target.map { String(decoding: $0, as: UTF8.self) }
    }
}
