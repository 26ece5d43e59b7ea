import Glibc

/// A directory that exists as long as a closure runs.
struct TemporaryDirectory {
    let path: String

    static func with(_ body: (TemporaryDirectory) async throws -> Void) async throws {
        var template = Array("/tmp/execbox-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure() }
        let directory = TemporaryDirectory(path: String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
        defer { directory.removeAll() }
        try await body(directory)
    }

    func write(_ name: String, _ text: String) throws {
        guard let file = fopen("\(self.path)/\(name)", "w") else { throw Failure() }
        defer { fclose(file) }
        guard fputs(text, file) >= 0 else { throw Failure() }
    }

    func remove(_ name: String) {
        unlink("\(self.path)/\(name)")
    }

    private func removeAll() {
        if let handle = opendir(self.path) {
            while let entry = readdir(handle) {
                self.remove(withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
            }
            closedir(handle)
        }
        rmdir(self.path)
    }

    struct Failure: Error {}
}
