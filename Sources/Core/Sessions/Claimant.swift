#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A server process as it stands in claims: `node/pid/start time/token`.
///
/// Start time and pid together tell, on the same host, whether the process still lives: a successor need not wait for a dead one's claims.
package struct Claimant: Hashable, Sendable, CustomStringConvertible {
    package let node: String
    package let pid: Int32
    /// Clock ticks since boot, field 22 of /proc/PID/stat.
    package let startTime: UInt64
    package let token: String

    package init(node: String, pid: Int32, startTime: UInt64, token: String) {
        self.node = node
        self.pid = pid
        self.startTime = startTime
        self.token = token
    }

    /// The calling process.
    package static func current(node: String, token: String) -> Self {
        let pid = getpid()
        return Self(node: node, pid: pid, startTime: startTime(of: pid) ?? 0, token: token)
    }

    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count >= 4, let pid = Int32(parts[parts.count - 3]), let start = UInt64(parts[parts.count - 2]) else { return nil }
        self.init(
            node: parts[..<(parts.count - 3)].joined(separator: "/"),
            pid: pid,
            startTime: start,
            token: String(parts[parts.count - 1])
        )
    }

    package var description: String { "\(node)/\(pid)/\(startTime)/\(token)" }

    /// True only when it is certain: the process ran on `node`, and no such process is there now.
    package func isDead(seenFrom node: String) -> Bool {
        guard self.node == node, startTime != 0 else { return false }
        return Self.startTime(of: pid) != startTime
    }

    private static func startTime(of pid: Int32) -> UInt64? {
        let descriptor = open("/proc/\(pid)/stat", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 1024)
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return nil }
        // The command's name stands in parentheses and may hold spaces and parentheses itself: fields count from the last one.
        guard let end = buffer[..<count].lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = buffer[(end + 1)..<count].split(separator: UInt8(ascii: " "))
        // State is field 3; a zombie holds nothing any more.
        guard fields.count > 19, fields[0].first != UInt8(ascii: "Z") else { return nil }
        return UInt64(String(decoding: fields[19], as: UTF8.self))
    }
}
