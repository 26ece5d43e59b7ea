/// Turns a pull's many lines into one human line now and then.
struct PullProgress {
    private var layers: [String: (current: Int64, total: Int64)] = [:]
    private var lastReport: ContinuousClock.Instant?

    /// A line worth showing; at most two a second.
    mutating func take(_ line: DockerClient.ProgressLine, now: ContinuousClock.Instant) -> String? {
        if let id = line.id, let status = line.status {
            switch status {
            case "Downloading":
                if let detail = line.progressDetail { layers[id] = (detail.current ?? 0, detail.total ?? 0) }
            case "Download complete", "Pull complete", "Already exists":
                if let layer = layers[id] { layers[id] = (layer.total, layer.total) }
            default: break
            }
        }
        if let lastReport, now - lastReport < .milliseconds(500) { return nil }
        let total = layers.values.reduce(0) { $0 + $1.total }
        guard total > 0 else {
            guard let status = line.status else { return nil }
            lastReport = now
            return line.id.map { "\(status) \($0)" } ?? status
        }
        lastReport = now
        let current = layers.values.reduce(0) { $0 + $1.current }
        return "Downloading \(Self.megabytes(current)) of \(Self.megabytes(total)) MB"
    }

    private static func megabytes(_ bytes: Int64) -> String { "\(bytes / 1_000_000).\(bytes / 100_000 % 10)" }
}
