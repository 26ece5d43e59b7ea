/// `GET /v1/admin/drift`: what must be equal in two places and is not.
public struct DriftBody: Equatable, Sendable, Codable {
    public struct Check: Equatable, Sendable, Codable {
        public var name: String
        public var differences: Int
        /// Ids of a few.
        public var examples: [String]

        public init(name: String, differences: Int, examples: [String]) {
            self.name = name
            self.differences = differences
            self.examples = examples
        }
    }

    /// Nothing differs.
    public var ok: Bool
    public var checks: [Check]

    public init(checks: [Check]) {
        ok = checks.allSatisfy { $0.differences == 0 }
        self.checks = checks
    }
}
