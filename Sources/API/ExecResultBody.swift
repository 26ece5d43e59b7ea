#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A buffered exec's answer. Output that is no UTF-8 travels as `stdoutBase64` or `stderrBase64` in place of the text.
public struct ExecResultBody: Equatable, Sendable, Codable {
    public var id: String
    /// `null` in JSON, not absent, if the session ended first.
    public var exitCode: Int32?
    public var signal: String?
    /// `exited`, `signaled`, `timeout`, `oom_killed` or `session_ended`.
    public var reason: String
    public var stdout: [UInt8]
    public var stderr: [UInt8]
    /// All that was written, also what was cut.
    public var stdoutBytes: Int64
    public var stderrBytes: Int64
    /// Something is missing between head and tail of `stdout` or `stderr`.
    public var truncated: Bool
    public var durationMs: Int64

    public init(
        id: String, exitCode: Int32?, signal: String? = nil, reason: String, stdout: [UInt8], stderr: [UInt8], stdoutBytes: Int64,
        stderrBytes: Int64, truncated: Bool, durationMs: Int64
    ) {
        self.id = id
        self.exitCode = exitCode
        self.signal = signal
        self.reason = reason
        self.stdout = stdout
        self.stderr = stderr
        self.stdoutBytes = stdoutBytes
        self.stderrBytes = stderrBytes
        self.truncated = truncated
        self.durationMs = durationMs
    }

    /// stdout as text, its invalid bytes replaced.
    public var stdoutText: String { String(decoding: stdout, as: UTF8.self) }
    /// stderr as text, its invalid bytes replaced.
    public var stderrText: String { String(decoding: stderr, as: UTF8.self) }

    private enum CodingKeys: String, CodingKey {
        case id, exitCode, signal, reason, stdout, stdoutBase64, stderr, stderrBase64, stdoutBytes, stderrBytes, truncated, durationMs
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func bytes(_ text: CodingKeys, _ base64: CodingKeys) throws -> [UInt8] {
            guard let encoded = try container.decodeIfPresent(String.self, forKey: base64) else {
                return Array(try container.decode(String.self, forKey: text).utf8)
            }
            guard let data = Data(base64Encoded: encoded) else {
                throw DecodingError.dataCorruptedError(forKey: base64, in: container, debugDescription: "invalid base64")
            }
            return Array(data)
        }
        id = try container.decode(String.self, forKey: .id)
        exitCode = try container.decodeIfPresent(Int32.self, forKey: .exitCode)
        signal = try container.decodeIfPresent(String.self, forKey: .signal)
        reason = try container.decode(String.self, forKey: .reason)
        stdout = try bytes(.stdout, .stdoutBase64)
        stderr = try bytes(.stderr, .stderrBase64)
        stdoutBytes = try container.decode(Int64.self, forKey: .stdoutBytes)
        stderrBytes = try container.decode(Int64.self, forKey: .stderrBytes)
        truncated = try container.decode(Bool.self, forKey: .truncated)
        durationMs = try container.decode(Int64.self, forKey: .durationMs)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        func encode(_ bytes: [UInt8], _ text: CodingKeys, _ base64: CodingKeys) throws {
            if let string = String(validating: bytes, as: UTF8.self) {
                try container.encode(string, forKey: text)
            } else {
                try container.encode(Data(bytes).base64EncodedString(), forKey: base64)
            }
        }
        try container.encode(id, forKey: .id)
        try container.encode(exitCode, forKey: .exitCode)
        try container.encodeIfPresent(signal, forKey: .signal)
        try container.encode(reason, forKey: .reason)
        try encode(stdout, .stdout, .stdoutBase64)
        try encode(stderr, .stderr, .stderrBase64)
        try container.encode(stdoutBytes, forKey: .stdoutBytes)
        try container.encode(stderrBytes, forKey: .stderrBytes)
        try container.encode(truncated, forKey: .truncated)
        try container.encode(durationMs, forKey: .durationMs)
    }
}
