import ExecboxWebSocket
import ExecboxWire
import NIOCore
import NIOHTTP1

/// Everything a stream delivered, from its 101 to its close.
package struct StreamRecord: Sendable {
    package var stdout: [UInt8] = []
    package var stderr: [UInt8] = []
    package var exit: Int32?
    package var errors: [String] = []
    package var gapBytes: UInt64 = 0
    package var closeCode: WebSocketCloseCode?

    package init() {}

    package var text: String { String(decoding: stdout, as: UTF8.self) }
    /// What the next attach's `offset` would be.
    package var offset: UInt64 { UInt64(stdout.count + stderr.count) + gapBytes }

    package mutating func take(_ frame: Frame) {
        switch frame {
        case .stdout(let data): stdout += data
        case .stderr(let data): stderr += data
        case .exit(let code): exit = code
        case .error(let text): errors.append(text)
        case .gap(let missing): gapBytes += missing
        case .credit, .stdin, .stdinClose, .resize, .signal: break
        }
    }
}

extension ServerProcess {
    /// Opens a stream of the protocol `execbox.v1`.
    package func stream(_ path: String) async throws -> WebSocketConnection {
        let (connection, _) = try await WebSocketClient().connect(
            "ws://127.0.0.1:\(port)\(path)", headers: ["Authorization": "Bearer \(key)"], subprotocols: ["execbox.v1"])
        return connection
    }

    /// Reads a stream to its end, or until `isEnough`, which then leaves the connection open.
    package func collect(
        _ connection: WebSocketConnection, into record: inout StreamRecord, until isEnough: (StreamRecord) -> Bool = { _ in false }
    ) async throws {
        while !isEnough(record), let message = await connection.receive() {
            guard case .binary(let bytes) = message else { throw Failure(description: "a text message") }
            record.take(try Frame(bytes.readableBytesView))
        }
        record.closeCode = connection.closeCode
    }

    /// A whole stream: stdin written and closed if given, then everything until the close.
    package func record(_ path: String, stdin: [UInt8]? = nil) async throws -> StreamRecord {
        let connection = try await stream(path)
        if let stdin {
            try await connection.send(binary: ByteBuffer(bytes: Frame.stdin(stdin).bytes))
            try await connection.send(binary: ByteBuffer(bytes: Frame.stdinClose.bytes))
        }
        var record = StreamRecord()
        try await collect(connection, into: &record)
        await connection.close()
        return record
    }
}
