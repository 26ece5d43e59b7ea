/// What a session that does not run yet is waiting for.
public struct ProgressBody: Equatable, Sendable, Codable {
    /// `pulling`, `building`, `starting` …
    public var phase: String
    /// For people: the layer or the step.
    public var detail: String?
    public var currentBytes: Int64?
    public var totalBytes: Int64?

    public init(phase: String, detail: String? = nil, currentBytes: Int64? = nil, totalBytes: Int64? = nil) {
        self.phase = phase
        self.detail = detail
        self.currentBytes = currentBytes
        self.totalBytes = totalBytes
    }
}
