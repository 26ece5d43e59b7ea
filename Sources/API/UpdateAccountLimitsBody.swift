import ExecboxModel

/// `PUT /v1/account/limits`: what is absent stays, `null` gives the tier's (of the cost limit and the address: none).
public struct UpdateAccountLimitsBody: Equatable, Sendable {
    public static let microsPerCent: Int64 = 10_000
    static let maxCents: Int64 = 1_000_000_000_000

    public var dailyRequestsLimit: Int??
    public var concurrentRequestsLimit: Int??
    public var monthlyCostLimitMicros: Int64??
    public var billingEmail: String??
    public var alertThreshold: Int?
    public var timezone: String?

    /// Decodes and validates a request's body.
    public init(json body: some Sequence<UInt8>) throws(ExecboxError) {
        var object = try JSONObjectReader.parse(body)
        object.ignore("$schema")
        dailyRequestsLimit = try object.change("daily_requests_limit") { reader throws(ExecboxError) in try reader.count() }
        concurrentRequestsLimit = try object.change("concurrent_requests_limit") { reader throws(ExecboxError) in try reader.count() }
        let cents = try object.change("monthly_cost_limit_cents") { reader throws(ExecboxError) in try reader.integer(in: 0...Self.maxCents)
        }
        let micros = try object.change("monthly_cost_limit_micros") { reader throws(ExecboxError) in
            try reader.integer(in: 0...(Self.maxCents * Self.microsPerCent))
        }
        if cents != nil, micros != nil {
            throw .invalid("monthly_cost_limit_cents", "give monthly_cost_limit_cents or monthly_cost_limit_micros, not both")
        }
        monthlyCostLimitMicros = micros ?? cents.map { $0.map { $0 * Self.microsPerCent } }
        billingEmail = try object.change("billing_email") { reader throws(ExecboxError) in try reader.email() }
        alertThreshold = try object.optional("alert_threshold").map { reader throws(ExecboxError) in Int(try reader.integer(in: 1...100)) }
        timezone = try object.optional("timezone")?.label(max: 64)
        try object.finish()
    }
}
