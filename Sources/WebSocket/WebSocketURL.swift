/// Where a WebSocket is: `ws`, `wss`, and `http`, `https` for the same.
package struct WebSocketURL: Equatable, Sendable {
    package let isSecure: Bool
    /// Without the brackets of an IPv6 address.
    package let host: String
    package let port: Int
    /// Path and query, as they go into the request line.
    package let target: String

    /// Nil for anything else; user names and fragments are refused, not dropped.
    package init?(_ text: String) {
        guard let schemeEnd = text.firstRange(of: "://") else { return nil }
        switch text[..<schemeEnd.lowerBound].lowercased() {
        case "ws", "http": isSecure = false
        case "wss", "https": isSecure = true
        default: return nil
        }
        let rest = text[schemeEnd.upperBound...]
        guard rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), !rest.contains("#") else { return nil }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let path = rest[authority.endIndex...]
        target = path.isEmpty ? "/" : path.hasPrefix("?") ? "/\(path)" : String(path)
        guard !authority.contains("@") else { return nil }
        let portText: Substring
        if authority.hasPrefix("[") {
            guard let bracket = authority.firstIndex(of: "]") else { return nil }
            host = String(authority[authority.index(after: authority.startIndex)..<bracket])
            portText = authority[authority.index(after: bracket)...]
        } else {
            let name = authority.prefix { $0 != ":" }
            host = String(name)
            portText = authority[name.endIndex...]
        }
        guard !host.isEmpty else { return nil }
        if portText.isEmpty {
            port = isSecure ? 443 : 80
        } else {
            guard portText.hasPrefix(":"), let number = UInt16(portText.dropFirst()), number > 0 else { return nil }
            port = Int(number)
        }
    }

    /// The `Host` header.
    var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
    }
}
