import ExecboxAPI
import HTTPTypes
import Hummingbird
import NIOCore

extension Response {
    static func json(_ body: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        Response(
            status: status,
            headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: try body.json()))
        )
    }
}
