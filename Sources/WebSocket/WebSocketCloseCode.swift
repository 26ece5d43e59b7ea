/// Why a connection is closed (RFC 6455 §7.4); 4000 to 4999 are ours (PROTOCOL §3).
package struct WebSocketCloseCode: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let normal = Self(rawValue: 1000)
    package static let goingAway = Self(rawValue: 1001)
    package static let protocolError = Self(rawValue: 1002)
    package static let unacceptableData = Self(rawValue: 1003)
    /// Never on the wire: the peer's close frame had no code.
    package static let noCode = Self(rawValue: 1005)
    /// Never on the wire: the connection ended without a close frame.
    package static let lost = Self(rawValue: 1006)
    package static let invalidText = Self(rawValue: 1007)
    package static let policy = Self(rawValue: 1008)
    package static let tooBig = Self(rawValue: 1009)
    package static let internalError = Self(rawValue: 1011)
    package static let unauthorized = Self(rawValue: 4401)
    package static let notFound = Self(rawValue: 4404)
    package static let tooSlow = Self(rawValue: 4408)
    package static let conflict = Self(rawValue: 4409)
    package static let gone = Self(rawValue: 4410)
    package static let rateLimited = Self(rawValue: 4429)

    /// A close frame may carry it.
    var isSendable: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}
