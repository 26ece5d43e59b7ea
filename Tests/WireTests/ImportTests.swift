import Foundation
import Testing

@Suite("The wire target")
struct ImportTests {
    @Test("imports nothing, not even Foundation")
    func importsNothing() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Sources/Wire").standardizedFileURL
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil).filter {
            $0.pathExtension == "swift"
        }
        #expect(files.count > 10)
        for file in files {
            let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
            let imports = lines.filter {
                $0.contains(/^\s*(?:@\w+(?:\([^)]*\))?\s+|(?:public|package|internal|private|fileprivate)\s+)*import\s/)
            }
            #expect(imports.isEmpty, "\(file.lastPathComponent) imports something")
        }
    }
}
