import ExecboxAPI
import ExecboxModel
import ExecboxWire
import FoundationEssentials

/// A frame as a JSON text message (PROTOCOL §3, `protocol=json`).
struct JSONFrame {
    private struct Out: Encodable {
        var type: String
        var data: String?
        var code: Int32?
        var reason: String?
        var message: String?
        var cols: UInt16?
        var rows: UInt16?
        var signal: String?
        var bytes: UInt64?
    }

    let frame: Frame
    let reason: String?

    /// - Parameter reason: for Exit only.
    init(_ frame: Frame, reason: String? = nil) {
        self.frame = frame
        self.reason = reason
    }

    /// - Throws: `invalidArgument`, naming the field.
    init(text: String) throws(ExecboxError) {
        var object = try JSONObjectReader.parse(text.utf8)
        let type = try object.required("type")
        switch try type.string() {
        case "stdin":
            let data = try object.required("data")
            guard let bytes = Data(base64Encoded: try data.string()) else { throw data.invalid("is no base64") }
            frame = .stdin(Array(bytes))
        case "stdin-close": frame = .stdinClose
        case "resize":
            frame = .resize(
                columns: UInt16(try object.required("cols").integer(in: 1...65_535)),
                rows: UInt16(try object.required("rows").integer(in: 1...65_535))
            )
        case "signal": frame = .signal(try object.required("signal").string())
        default: throw type.invalid("must be one of stdin, stdin-close, resize, signal")
        }
        try object.finish()
        reason = nil
    }

    func text() throws -> String {
        var out = Out(type: "")
        switch frame {
        case .stdin(let data):
            out.type = "stdin"
            out.data = Data(data).base64EncodedString()
        case .stdout(let data):
            out.type = "stdout"
            out.data = Data(data).base64EncodedString()
        case .stderr(let data):
            out.type = "stderr"
            out.data = Data(data).base64EncodedString()
        case .exit(let code):
            out.type = "exit"
            out.code = code
            out.reason = reason
        case .error(let message):
            out.type = "error"
            out.message = message
        case .stdinClose: out.type = "stdin-close"
        case .resize(let columns, let rows):
            out.type = "resize"
            out.cols = columns
            out.rows = rows
        case .signal(let name):
            out.type = "signal"
            out.signal = name
        case .gap(let bytes):
            out.type = "gap"
            out.bytes = bytes
        case .credit(let bytes):
            out.type = "credit"
            out.bytes = UInt64(bytes)
        }
        return String(decoding: try out.json(), as: UTF8.self)
    }
}
