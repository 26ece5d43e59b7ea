/// One figure and the ways to measure it: ours, a peer's that does the same job, and the bare limit that neither can pass.
struct Benchmark {
    /// One way to measure it.
    struct Side {
        let name: String
        /// At most so many rounds, for what takes its time; nil for as many as all.
        var rounds: Int?
        let measure: () async throws -> Double
    }

    let name: String
    let unit: Unit
    let goal: Goal
    let ours: () async throws -> Double
    var peer: Side?
    var limit: Side?
    /// Called before every single measurement: what the last one left has to be over.
    var settle: () async throws -> Void = {}
    /// At most so many rounds, for what takes its time; nil for as many as all.
    var rounds: Int?

    enum Unit: String {
        case milliseconds = "ms"
        case megabytesPerSecond = "MB/s"
        case megabytes = "MB"
        case requestsPerSecond = "req/s"
        case errors

        var isBetterWhenHigher: Bool { self == .megabytesPerSecond || self == .requestsPerSecond }
    }

    /// What has to be reached.
    enum Goal {
        /// So many times as good as the peer.
        case ratio(Double)
        /// At most so much, in `unit`.
        case atMost(Double)
    }

    /// Measures the sides in turn, round by round, so that whatever else the machine does meets all of them alike. One round more, the
    /// first, warms up and is not counted.
    func run(rounds: Int, progress: (Int) -> Void) async throws -> Figure {
        let rounds = min(rounds, self.rounds ?? rounds)
        var ours: [Double] = []
        var peers: [Double] = []
        var limits: [Double] = []
        for round in 0...rounds {
            progress(round)
            func take(_ measure: () async throws -> Double, into values: inout [Double]) async throws {
                try await settle()
                let value = try await measure()
                if round > 0 { values.append(value) }
            }
            try await take(self.ours, into: &ours)
            if let peer, round <= peer.rounds ?? rounds { try await take(peer.measure, into: &peers) }
            if let limit, round <= limit.rounds ?? rounds { try await take(limit.measure, into: &limits) }
        }
        return Figure(
            name: name, ours: ours.median, peer: peer.map { _ in peers.median }, peerName: peer?.name,
            limit: limit.map { _ in limits.median }, unit: unit, goal: goal)
    }
}

extension [Double] {
    /// Of an even number of values the mean of the two in the middle; not a number if there is none.
    var median: Double {
        guard !isEmpty else { return .nan }
        let sorted = self.sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
}
