import Foundation
import Testing

@Suite("The agent target")
struct ImportTests {
    @Test("imports the C library, the wire and its own C, and nothing else: no Foundation, no NIO", arguments: ["Agent", "execbox-agent"])
    func imports(_ target: String) throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Sources/\(target)").standardizedFileURL
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil).filter {
            $0.pathExtension == "swift"
        }
        #expect(!files.isEmpty)
        let allowed: Set<Substring> = ["CAgent", "ExecboxAgent", "ExecboxWire", "Glibc", "Musl"]
        for file in files {
            for match in try String(contentsOf: file, encoding: .utf8).matches(of: /(?m)^[^\/\n"]*\bimport\s+(\w+)/) {
                #expect(allowed.contains(match.1), "\(file.lastPathComponent) imports \(match.1)")
            }
        }
    }
}
