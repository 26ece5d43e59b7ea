import ExecboxWire
import Foundation
import Synchronization

/// A fake agent's end of one connection: a blocking socket, used by one thread.
final class FakeConnection: Sendable {
    private let descriptor: Mutex<Int32>
    private let decoder = Mutex(PacketDecoder())

    init(descriptor: Int32) {
        self.descriptor = Mutex(descriptor)
    }

    deinit { close() }

    /// Connects to a server process's socket; nil if it is gone.
    static func dial(_ path: String) -> FakeConnection? {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            Glibc.close(descriptor)
            return nil
        }
        return FakeConnection(descriptor: descriptor)
    }

    private var raw: Int32 { descriptor.withLock { $0 } }

    /// False once the server has closed.
    @discardableResult
    func write(_ bytes: [UInt8], flags: Int = 0) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(flags)) }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    @discardableResult
    func write(_ message: AgentMessage) -> Bool { write(message.bytes) }
    @discardableResult
    func write(_ frame: Frame) -> Bool { write(frame.bytes) }

    /// Writes again and again until the socket has taken nothing for `patience`; returns how many bytes it took.
    func writeUntilStuck(_ block: [UInt8], patience: Duration = .milliseconds(500)) -> Int {
        var total = 0
        while true {
            var poller = pollfd(fd: raw, events: Int16(POLLOUT), revents: 0)
            guard poll(&poller, 1, Int32(patience.components.attoseconds / 1_000_000_000_000_000)) == 1 else { return total }
            // A frame that was begun is finished by the next call.
            let start = total % block.count
            let count = block[start...].withUnsafeBytes {
                send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            if count > 0 { total += count } else if errno != EAGAIN { return total }
        }
    }

    /// The next packet; nil at the end of the stream.
    func readPacket() -> PacketDecoder.Packet? {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            do {
                if let packet = try decoder.withLock({ try $0.next() }) { return packet }
            } catch {
                return nil
            }
            let count = recv(raw, &buffer, buffer.count, 0)
            guard count > 0 else { return nil }
            decoder.withLock { $0.append(buffer[..<count]) }
        }
    }

    func readMessage() -> AgentMessage? {
        guard let packet = readPacket() else { return nil }
        return try? AgentMessage(type: packet.type, payload: packet.payload)
    }

    /// Returns once the server has closed this connection.
    func waitForEnd() {
        while readPacket() != nil {}
    }

    /// Whether the server has closed this connection; for tests' own tasks, which must not block.
    var isClosedByServer: Bool {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(raw, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count > 0 { continue }
            return count == 0 || errno != EAGAIN
        }
    }

    func close() {
        descriptor.withLock { descriptor in
            if descriptor >= 0 { Glibc.close(descriptor) }
            descriptor = -1
        }
    }

    /// Ends what the server reads, not what it writes.
    func shutDownWriting() { shutDown(how: Int32(SHUT_WR)) }

    /// Wakes the thread that reads or writes.
    func shutDown(how: Int32 = Int32(SHUT_RDWR)) {
        descriptor.withLock { descriptor in
            if descriptor >= 0 { shutdown(descriptor, how) }
        }
    }
}
