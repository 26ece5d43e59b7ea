import ExecboxSandbox

/// An image's name, spelled out: registry, path, and exactly one of tag or digest to pull by.
///
/// The grammar is that of distribution's reference package: `[domain/]path[:tag][@digest]`.
struct ImageReference: Equatable, Sendable {
    let domain: String
    let path: String
    let tag: String?
    let digest: String?

    init(_ name: String) throws(BackendError) {
        func refused(_ why: String) -> BackendError { .invalidSpec("\(name.prefix(300).debugDescription) is not an image name: \(why)") }
        guard !name.isEmpty, name.utf8.count <= 512 else { throw refused("it must have 1 to 512 characters") }
        if name.hasPrefix("sha256:") || name.utf8.count == 64 && name.utf8.allSatisfy(Self.isHex) {
            throw .invalidSpec("an image id is no image name: use repository, repository:tag or repository@sha256:…")
        }
        var rest = Substring(name)
        var digest: String?
        if let at = rest.firstIndex(of: "@") {
            let text = rest[rest.index(after: at)...]
            let hex = text.dropFirst("sha256:".count)
            guard text.hasPrefix("sha256:"), hex.utf8.count == 64, hex.utf8.allSatisfy(Self.isHex) else {
                throw refused("after @ comes sha256: and 64 hexadecimal digits")
            }
            digest = String(text)
            rest = rest[..<at]
        }
        var tag: String?
        if let colon = rest.lastIndex(of: ":"), !rest[colon...].contains("/") {
            let text = rest[rest.index(after: colon)...]
            guard let first = text.utf8.first, Self.isWord(first), text.utf8.count <= 128,
                text.utf8.allSatisfy({ Self.isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") })
            else { throw refused("a tag has 1 to 128 letters, digits, _ . -") }
            tag = String(text)
            rest = rest[..<colon]
        }
        var domain = "docker.io"
        if let slash = rest.firstIndex(of: "/") {
            let first = rest[..<slash]
            if first == "localhost" || first.contains(where: { $0 == "." || $0 == ":" || $0.isUppercase }) {
                domain = String(first)
                rest = rest[rest.index(after: slash)...]
            }
        }
        if domain == "index.docker.io" { domain = "docker.io" }
        guard Self.isDomain(domain) else { throw refused("the registry's name is not valid") }
        if domain == "docker.io", !rest.contains("/") { rest = Substring("library/" + rest) }
        let components = rest.split(separator: "/", omittingEmptySubsequences: false)
        guard components.allSatisfy({ Self.isPathComponent($0) }) else {
            throw refused("its path has lower-case letters, digits and single . _ - between them")
        }
        self.domain = domain
        path = String(rest)
        self.tag = digest == nil ? tag ?? "latest" : tag
        self.digest = digest
    }

    /// What the engine is asked to pull from.
    var repository: String { "\(domain)/\(path)" }

    /// What the engine is asked to pull; a digest wins over a tag.
    var tagOrDigest: String { digest ?? tag ?? "latest" }

    /// The name by which the engine finds the image again.
    var text: String {
        if let digest { return "\(repository)@\(digest)" }
        return "\(repository):\(tag ?? "latest")"
    }

    private static func isHex(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }

    private static func isLowerOrDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        isLowerOrDigit(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) || byte == UInt8(ascii: "_")
    }

    private static func isDomain(_ text: String) -> Bool {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, let host = parts.first else { return false }
        if parts.count == 2, UInt16(parts[1]) == nil { return false }
        return host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
            guard let first = label.utf8.first, let last = label.utf8.last else { return false }
            return first != UInt8(ascii: "-") && last != UInt8(ascii: "-")
                && label.utf8.allSatisfy { $0 != UInt8(ascii: "_") && isWord($0) || $0 == UInt8(ascii: "-") }
        }
    }

    /// Words of a-z and 0-9 with one `.`, one or two `_`, or any number of `-` between them.
    private static func isPathComponent(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, let last = text.utf8.last, isLowerOrDigit(first), isLowerOrDigit(last) else { return false }
        var separator: [UInt8] = []
        for byte in text.utf8 {
            if isLowerOrDigit(byte) {
                separator = []
                continue
            }
            separator.append(byte)
            switch byte {
            case UInt8(ascii: "."): if separator.count > 1 { return false }
            case UInt8(ascii: "_"): if separator.count > 2 || separator.contains(where: { $0 != byte }) { return false }
            case UInt8(ascii: "-"): if separator.contains(where: { $0 != byte }) { return false }
            default: return false
            }
        }
        return true
    }
}
