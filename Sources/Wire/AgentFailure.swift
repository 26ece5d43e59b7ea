/// Why the agent refused or ended an operation.
public struct AgentFailure: Error, Equatable, Sendable {
    public enum Code: UInt8, Sendable, CaseIterable {
        /// No process with this id, or it has been forgotten.
        case notFound = 1
        /// The id was used for another command.
        case conflict = 2
        case commandNotFound = 3
        case notExecutable = 4
        case unknownUser = 5
        case badWorkingDirectory = 6
        /// Anything else between fork and exec; the message has stage and errno.
        case startFailed = 7
        /// Buffers or process slots are full.
        case busy = 8
        /// A lossless reader that held others back was cut off.
        case slowReader = 9
        case invalidRequest = 10
        /// The process has ended already.
        case ended = 11
        /// The secret was wrong.
        case forbidden = 12
        case `internal` = 13
    }

    public var code: Code
    public var message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    init(from reader: inout FieldReader<some Collection<UInt8>>) throws(WireError) {
        guard let code = Code(rawValue: try reader.uint8()) else { throw .invalidField("failure code") }
        self.code = code
        message = try reader.string("message", max: 4096)
    }

    func write(to writer: inout FieldWriter) {
        writer.integer(code.rawValue)
        writer.data(Frame.cut(message, at: 4096))
    }
}
