import ExecboxModel

/// A price: reserved resources times wall time, in micro-USD, from `valid_from` until the next price's.
public struct PriceBody: Equatable, Sendable, Codable {
    public static let maxMicros: Int64 = 1_000_000_000

    /// Nil in a request for now.
    public var validFrom: Timestamp?
    public var microsPerSession: Int64
    public var microsPerCPUSecond: Int64
    public var microsPerGigabyteSecond: Int64

    private enum CodingKeys: String, CodingKey {
        case validFrom = "valid_from"
        case microsPerSession = "micros_per_session"
        case microsPerCPUSecond = "micros_per_cpu_second"
        case microsPerGigabyteSecond = "micros_per_gb_second"
    }

    public init(validFrom: Timestamp?, microsPerSession: Int64, microsPerCPUSecond: Int64, microsPerGigabyteSecond: Int64) {
        self.validFrom = validFrom
        self.microsPerSession = microsPerSession
        self.microsPerCPUSecond = microsPerCPUSecond
        self.microsPerGigabyteSecond = microsPerGigabyteSecond
    }

    /// Decodes and validates the body of `POST /v1/admin/prices`.
    public init(json body: some Sequence<UInt8>) throws(ExecboxError) {
        var object = try JSONObjectReader.parse(body)
        validFrom = try object.optional("valid_from")?.timestamp()
        microsPerSession = try object.required("micros_per_session").integer(in: 0...Self.maxMicros)
        microsPerCPUSecond = try object.required("micros_per_cpu_second").integer(in: 0...Self.maxMicros)
        microsPerGigabyteSecond = try object.required("micros_per_gb_second").integer(in: 0...Self.maxMicros)
        try object.finish()
    }
}
