/// What was asked and answered: a line of the access log.
package struct RequestRecord: Sendable {
    package var requestID: String
    package var method: String
    package var path: String
    package var status: Int
    package var durationMs: Int64
}
