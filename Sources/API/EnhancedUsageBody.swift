import ExecboxModel

/// `GET /v1/account/usage/enhanced`: where the account stands, and what it used. Beside the reference's fields stand exact sums.
public struct EnhancedUsageBody: Equatable, Sendable, Codable {
    public struct Hour: Equatable, Sendable, Codable {
        /// Its first moment, RFC 3339 in UTC.
        public var hour: String
        public var executions: Int64
        public var errors: Int64
        /// Rounded down, for display.
        public var costCents: Int64
        public var costMicros: Int64

        private enum CodingKeys: String, CodingKey {
            case hour, executions, errors
            case costCents = "cost_cents"
            case costMicros = "cost_micros"
        }

        public init(hour: String, executions: Int64, errors: Int64, costMicros: Int64) {
            self.hour = hour
            self.executions = executions
            self.errors = errors
            costCents = costMicros / UpdateAccountLimitsBody.microsPerCent
            self.costMicros = costMicros
        }
    }

    public var accountID: String
    public var now: AccountUsageBody
    /// Since the account's month began. Rounded down, for display.
    public var costEstimateCents: Int64
    public var costEstimateMicros: Int64
    public var monthlyCostLimitCents: Int64?
    public var monthlyCostLimitMicros: Int64?
    /// Percent of the monthly cost limit.
    public var alertThreshold: Int
    /// The last 24, the present one first.
    public var hourlyUsage: [Hour]
    /// Today first.
    public var dailyHistory: [DayUsageBody]

    private enum CodingKeys: String, CodingKey {
        case accountID = "account_id"
        case costEstimateCents = "cost_estimate_cents"
        case costEstimateMicros = "cost_estimate_micros"
        case monthlyCostLimitCents = "monthly_cost_limit_cents"
        case monthlyCostLimitMicros = "monthly_cost_limit_micros"
        case alertThreshold = "alert_threshold"
        case hourlyUsage = "hourly_usage"
        case dailyHistory = "daily_history"
    }

    public init(
        accountID: String, now: AccountUsageBody, costEstimateMicros: Int64, monthlyCostLimitMicros: Int64?, alertThreshold: Int,
        hourlyUsage: [Hour], dailyHistory: [DayUsageBody]
    ) {
        self.accountID = accountID
        self.now = now
        costEstimateCents = costEstimateMicros / UpdateAccountLimitsBody.microsPerCent
        self.costEstimateMicros = costEstimateMicros
        monthlyCostLimitCents = monthlyCostLimitMicros.map { $0 / UpdateAccountLimitsBody.microsPerCent }
        self.monthlyCostLimitMicros = monthlyCostLimitMicros
        self.alertThreshold = alertThreshold
        self.hourlyUsage = hourlyUsage
        self.dailyHistory = dailyHistory
    }

    /// One object: what stands in `now` stands beside the rest.
    public init(from decoder: any Decoder) throws {
        now = try AccountUsageBody(from: decoder)
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        accountID = try fields.decode(String.self, forKey: .accountID)
        costEstimateCents = try fields.decode(Int64.self, forKey: .costEstimateCents)
        costEstimateMicros = try fields.decode(Int64.self, forKey: .costEstimateMicros)
        monthlyCostLimitCents = try fields.decodeIfPresent(Int64.self, forKey: .monthlyCostLimitCents)
        monthlyCostLimitMicros = try fields.decodeIfPresent(Int64.self, forKey: .monthlyCostLimitMicros)
        alertThreshold = try fields.decode(Int.self, forKey: .alertThreshold)
        hourlyUsage = try fields.decode([Hour].self, forKey: .hourlyUsage)
        dailyHistory = try fields.decode([DayUsageBody].self, forKey: .dailyHistory)
    }

    public func encode(to encoder: any Encoder) throws {
        try now.encode(to: encoder)
        var fields = encoder.container(keyedBy: CodingKeys.self)
        try fields.encode(accountID, forKey: .accountID)
        try fields.encode(costEstimateCents, forKey: .costEstimateCents)
        try fields.encode(costEstimateMicros, forKey: .costEstimateMicros)
        try fields.encodeIfPresent(monthlyCostLimitCents, forKey: .monthlyCostLimitCents)
        try fields.encodeIfPresent(monthlyCostLimitMicros, forKey: .monthlyCostLimitMicros)
        try fields.encode(alertThreshold, forKey: .alertThreshold)
        try fields.encode(hourlyUsage, forKey: .hourlyUsage)
        try fields.encode(dailyHistory, forKey: .dailyHistory)
    }
}
