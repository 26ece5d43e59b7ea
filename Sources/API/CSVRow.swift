/// One record of a CSV file (RFC 4180) that a spreadsheet may open as it is.
public struct CSVRow: Sendable {
    private var text = ""
    private var isBegun = false

    public init(_ fields: [String] = []) {
        for field in fields { append(field) }
    }

    public mutating func append(_ number: some BinaryInteger) { append(raw: "\(number)") }

    /// Text that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV Injection").
    public mutating func append(_ field: String) {
        let isFormula = field.unicodeScalars.first.map { "=+-@\t\r\n".unicodeScalars.contains($0) } ?? false
        let safe = isFormula ? "'" + field : field
        let needsQuotes = safe.unicodeScalars.contains { "\",\r\n".unicodeScalars.contains($0) }
        append(raw: needsQuotes ? "\"" + safe.replacing("\"", with: "\"\"") + "\"" : safe)
    }

    private mutating func append(raw field: String) {
        if isBegun { text += "," }
        isBegun = true
        text += field
    }

    /// With the line's end.
    public var bytes: [UInt8] { Array((text + "\r\n").utf8) }
}
