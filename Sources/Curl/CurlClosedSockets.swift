import CCurl
import Glibc

/// Closes libcurl's sockets and keeps, for a moment, what the peer had sent and libcurl had not read.
///
/// A peer that refuses a request before it has read the body answers and closes; a write that then fails makes libcurl give up without
/// looking for the answer. Used on the loop's thread only.
final class CurlClosedSockets {
    private static let maximumBytes = 64 * 1024
    private var leftovers: [curl_socket_t: [UInt8]] = [:]

    func close(_ socket: curl_socket_t) {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 8192)
        while bytes.count < Self.maximumBytes {
            let count = recv(socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            guard count > 0 else { break }
            bytes.append(contentsOf: buffer[..<count])
        }
        leftovers[socket] = bytes.isEmpty ? nil : bytes
        Glibc.close(socket)
    }

    /// What the peer had sent on a socket that was closed since `forget`.
    func leftover(of socket: curl_socket_t) -> [UInt8] { leftovers[socket] ?? [] }

    func forget() { leftovers.removeAll() }
}
