import CLibPQ
import Crypto
import Glibc

/// One `NNNN_name.sql`.
struct MigrationFile: Hashable, Sendable {
    let version: Int
    let name: String
    let script: String
    let checksum: [UInt8]

    /// The files of a directory, in order. Blocks: for a dedicated thread.
    ///
    /// A `.sql` file with another kind of name is an error, since it was certainly meant to run; other files are not looked at.
    static func read(directory: String) throws(MigrationError) -> [MigrationFile] {
        guard let handle = opendir(directory) else { throw .unreadable("\(directory): \(systemMessage(errno))") }
        defer { closedir(handle) }
        var files: [MigrationFile] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            guard name.hasSuffix(".sql") else { continue }
            files.append(try MigrationFile(fileName: name, contents: try Self.contents("\(directory)/\(name)")))
        }
        files.sort { $0.version < $1.version }
        for (file, next) in zip(files, files.dropFirst()) where file.version == next.version {
            throw .malformedName("\(file.name) and \(next.name) have the same number")
        }
        return files
    }

    init(fileName: String, contents: [UInt8]) throws(MigrationError) {
        let digits = fileName.utf8.prefix(4)
        let rest = fileName.utf8.dropFirst(4)
        let isNumbered = digits.count == 4 && digits.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        guard isNumbered, rest.first == UInt8(ascii: "_"), rest.count > 5, let version = Int(fileName.prefix(4)) else {
            throw .malformedName("\(fileName) is not called NNNN_name.sql")
        }
        guard let script = String(validating: contents, as: UTF8.self) else { throw .unreadable("\(fileName) is not UTF-8") }
        self.version = version
        self.name = String(fileName.dropLast(4))
        self.script = script
        var hash = SHA256()
        contents.withUnsafeBytes { hash.update(bufferPointer: $0) }
        self.checksum = hash.finalize().withUnsafeBytes { [UInt8]($0) }
    }

    private static func contents(_ path: String) throws(MigrationError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .unreadable("\(path): \(systemMessage(errno))") }
        defer { close(descriptor) }
        var contents: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .unreadable("\(path): \(systemMessage(errno))") }
            if count == 0 { return contents }
            contents += buffer.prefix(count)
            guard contents.count <= 16 << 20 else { throw .unreadable("\(path): larger than 16 MiB") }
        }
    }
}
