/// An answer that was read to its end.
package struct CurlResponse: Equatable, Sendable {
    package var status: Int
    package var headers: [CurlHeader]
    package var body: [UInt8]

    package init(status: Int, headers: [CurlHeader] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }
}
