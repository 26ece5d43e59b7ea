/// A benchmark's medians.
struct Figure: Encodable {
    let name: String
    let ours: Double
    let peer: Double?
    let peerName: String?
    let limit: Double?
    let unit: Benchmark.Unit
    let goal: Benchmark.Goal

    /// How many times as good as the peer we are.
    var ratio: Double? { peer.map { unit.isBetterWhenHigher ? ours / $0 : $0 / ours } }

    var isReached: Bool {
        switch goal {
        case .ratio(let least): (ratio ?? 0) >= least
        case .atMost(let most): ours <= most
        }
    }

    private enum CodingKeys: String, CodingKey { case name, ours, peer, peerName, limit, unit, ratio }

    /// A file for programs: every key in every entry, `null` where there is no such thing.
    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(ours, forKey: .ours)
        try container.encode(peer, forKey: .peer)
        try container.encode(peerName, forKey: .peerName)
        try container.encode(limit, forKey: .limit)
        try container.encode(unit.rawValue, forKey: .unit)
        try container.encode(ratio, forKey: .ratio)
    }
}
