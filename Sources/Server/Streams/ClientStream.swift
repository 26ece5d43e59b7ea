import ExecboxAPI
import ExecboxModel
import ExecboxWebSocket
import ExecboxWire
import NIOCore

/// A client's WebSocket as a stream of frames, in the encoding it asked for.
struct ClientStream: Sendable {
    static let subprotocol = "execbox.v1"

    let socket: WebSocketConnection
    let encoding: StreamQuery.Encoding
    /// The client selected `execbox.v1`: it understands Gap and Credit.
    let understandsExtensions: Bool

    /// Frames as they came from the agent: passed on by slice under `binary`.
    func send(packets: [ByteBuffer]) async throws {
        guard !packets.isEmpty else { return }
        switch encoding {
        case .binary: try await socket.send(binary: packets)
        case .json:
            for packet in packets { try await send(try Frame(packet.readableBytesView)) }
        }
    }

    func send(_ frame: Frame, reason: String? = nil) async throws {
        switch (frame, understandsExtensions) {
        case (.gap(let missing), false): return try await send(.error("GAP \(missing)"))
        case (.credit, false): return
        default: break
        }
        switch encoding {
        case .binary: try await socket.send(binary: ByteBuffer(bytes: frame.bytes))
        case .json: try await socket.send(text: JSONFrame(frame, reason: reason).text())
        }
    }

    /// The client's next frame; nil once it has gone.
    ///
    /// - Throws: `Violation` for anything that is no frame of this encoding.
    func receive() async throws(Violation) -> Frame? {
        switch (await socket.receive(), encoding) {
        case (nil, _): return nil
        case (.binary(let bytes)?, .binary):
            do throws(WireError) {
                return try Frame(bytes.readableBytesView)
            } catch {
                throw Violation(code: .protocolError, text: "\(error)")
            }
        case (.text?, .binary):
            throw Violation(code: .unacceptableData, text: "a text message, but protocol=binary was chosen")
        case (.binary?, .json):
            throw Violation(code: .unacceptableData, text: "a binary message, but protocol=json was chosen")
        case (.text(let text)?, .json):
            do throws(ExecboxError) {
                return try JSONFrame(text: text).frame
            } catch {
                throw Violation(code: .protocolError, text: error.message)
            }
        }
    }

    /// What a client may not send; answered with an Error frame and this close code.
    struct Violation: Error {
        var code: WebSocketCloseCode
        var text: String
    }
}
