/// Columns as wide as they need to be, cut at 40 characters; nothing in a cell can move the cursor.
struct Table {
    private static let maxWidth = 40
    let header: [String]
    let rows: [[String]]

    var text: String {
        let lines = ([header] + rows).map { $0.enumerated().map { cell($1, isID: $0 == 0) } }
        let widths = header.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            var text = ""
            for (column, cell) in line.enumerated() {
                text += cell
                if column < line.count - 1 { text += String(repeating: " ", count: widths[column] - cell.count + 2) }
            }
            while text.hasSuffix(" ") { text.removeLast() }
            return text + "\n"
        }.joined()
    }

    private func cell(_ text: String, isID: Bool) -> String {
        let clean = String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }))
        return isID || clean.count <= Self.maxWidth ? clean : clean.prefix(Self.maxWidth - 1) + "…"
    }
}
