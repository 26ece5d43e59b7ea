import Foundation
import Testing

@Suite("The README") struct ReadmeTests {
    @Test("names every variable that configures the server, and no other, in the order of the help text")
    func namesVariables() throws {
        let help = try Self.text("Sources/execboxd/ServerConfiguration.swift")
            .split(separator: "static let variables = \"\"\"", maxSplits: 1).last?.split(separator: "\"\"\"", maxSplits: 1).first
        // A continued line begins with more blanks.
        let known = try #require(help).split(separator: "\n")
            .map { $0.dropFirst(8) }
            .filter { $0.first?.isUppercase == true }
            .map { String($0.prefix { $0 != " " }) }
        let table = try Self.text("README.md").split(separator: "\n").filter { $0.hasPrefix("| `") }
        let named = table.compactMap { line -> String? in
            let name = line.dropFirst(3).prefix { $0 != "`" }
            return name.allSatisfy { $0.isUppercase || $0 == "_" } ? String(name) : nil
        }
        #expect(named == known)
        #expect(!known.isEmpty)
    }

    private static func text(_ path: String) throws -> String {
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return try String(contentsOf: package.appendingPathComponent(path), encoding: .utf8)
    }
}
