import ExecboxModel

/// `GET /v1/account/limits`: what holds for the account, its own settings within its tier. -1 is "no limit".
public struct AccountLimitsBody: Equatable, Sendable, Codable {
    public var dailyRequestsLimit: Int
    public var concurrentRequestsLimit: Int
    /// Rounded down, for display.
    public var monthlyCostLimitCents: Int64?
    public var monthlyCostLimitMicros: Int64?
    /// Percent of the monthly cost limit.
    public var alertThreshold: Int
    public var timezone: String
    public var billingEmail: String?

    private enum CodingKeys: String, CodingKey {
        case timezone
        case dailyRequestsLimit = "daily_requests_limit"
        case concurrentRequestsLimit = "concurrent_requests_limit"
        case monthlyCostLimitCents = "monthly_cost_limit_cents"
        case monthlyCostLimitMicros = "monthly_cost_limit_micros"
        case alertThreshold = "alert_threshold"
        case billingEmail = "billing_email"
    }

    public init(
        dailyRequestsLimit: Int, concurrentRequestsLimit: Int, monthlyCostLimitMicros: Int64?, alertThreshold: Int, timezone: String,
        billingEmail: String?
    ) {
        self.dailyRequestsLimit = dailyRequestsLimit
        self.concurrentRequestsLimit = concurrentRequestsLimit
        self.monthlyCostLimitMicros = monthlyCostLimitMicros
        monthlyCostLimitCents = monthlyCostLimitMicros.map { $0 / UpdateAccountLimitsBody.microsPerCent }
        self.alertThreshold = alertThreshold
        self.timezone = timezone
        self.billingEmail = billingEmail
    }
}
