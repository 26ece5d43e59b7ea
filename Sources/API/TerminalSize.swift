/// A terminal's size in characters.
public struct TerminalSize: Equatable, Sendable, Codable {
    public var columns: UInt16
    public var rows: UInt16

    public init(columns: UInt16 = 80, rows: UInt16 = 24) {
        self.columns = columns
        self.rows = rows
    }

    private enum CodingKeys: String, CodingKey {
        case columns = "cols"
        case rows
    }
}
