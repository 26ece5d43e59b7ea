/// An id of one kind of thing: a fixed prefix and a ULID, such as `sess_01j…`.
public protocol Identifier: Hashable, Sendable, CustomStringConvertible {
    static var prefix: String { get }
    var ulid: ULID { get }
    init(ulid: ULID)
}

extension Identifier {
    /// Nil unless the text is the prefix followed by a canonical ULID.
    public init?(_ text: String) {
        guard text.hasPrefix(Self.prefix), let ulid = ULID(Substring(text.utf8.dropFirst(Self.prefix.utf8.count))) else { return nil }
        self.init(ulid: ulid)
    }

    /// A new id, unique for all practical purposes.
    public static func make(unixMilliseconds: UInt64) -> Self {
        var generator = SystemRandomNumberGenerator()
        return Self(ulid: ULID(unixMilliseconds: unixMilliseconds, random: &generator))
    }

    public var description: String { Self.prefix + ulid.text }
}

/// What a caller works with (PROTOCOL §2).
public struct SessionID: Identifier {
    public static let prefix = "sess_"
    public let ulid: ULID
    public init(ulid: ULID) { self.ulid = ulid }
}

/// What a backend makes; a session points at one.
public struct SandboxID: Identifier {
    public static let prefix = "sb_"
    public let ulid: ULID
    public init(ulid: ULID) { self.ulid = ulid }
}

/// An exec the server named; callers may choose other names.
public struct ExecID: Identifier {
    public static let prefix = "exec_"
    public let ulid: ULID
    public init(ulid: ULID) { self.ulid = ulid }
}

/// Who pays.
public struct AccountID: Identifier {
    public static let prefix = "acct_"
    public let ulid: ULID
    public init(ulid: ULID) { self.ulid = ulid }
}

/// Where an account is told of what happens.
public struct WebhookID: Identifier {
    public static let prefix = "wh_"
    public let ulid: ULID
    public init(ulid: ULID) { self.ulid = ulid }
}

/// An API key's row; not its secret.
public struct KeyID: Identifier {
    public static let prefix = "key_"
    public let ulid: ULID
    public init(ulid: ULID) { self.ulid = ulid }
}
