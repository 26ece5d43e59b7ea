import Foundation

/// The figures for people, as a table that Markdown shows as one.
struct FigureTable {
    let figures: [Figure]

    var text: String {
        let header = ["figure", "ours", "peer", "bare limit", "unit", "ratio", "goal", "", "peer is"]
        let rows = figures.map { figure in
            [
                figure.name, Self.number(figure.ours), figure.peer.map(Self.number) ?? "-", figure.limit.map(Self.number) ?? "-",
                figure.unit.rawValue, figure.ratio.map(Self.number) ?? "-", Self.goal(figure), figure.isReached ? "reached" : "MISSED",
                figure.peerName ?? "-",
            ]
        }
        let widths = header.indices.map { column in ([header] + rows).map { $0[column].count }.max() ?? 0 }
        func line(_ cells: [String]) -> String {
            "| " + zip(cells, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }.joined(separator: " | ") + " |"
        }
        let rule = "|" + widths.map { String(repeating: "-", count: $0 + 2) }.joined(separator: "|") + "|"
        return ([line(header), rule] + rows.map(line)).joined(separator: "\n") + "\n"
    }

    private static func goal(_ figure: Figure) -> String {
        switch figure.goal {
        case .ratio(let least): "ratio ≥ \(number(least))"
        case .atMost(let most): "≤ \(number(most)) \(figure.unit.rawValue)"
        }
    }

    /// Three digits that count.
    private static func number(_ value: Double) -> String {
        guard value.isFinite else { return "?" }
        let decimals = abs(value) >= 100 || value == value.rounded() ? 0 : abs(value) >= 10 ? 1 : 2
        return String(format: "%.\(decimals)f", value)
    }
}
