import CAgent
import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Bytes that become a file as a whole or not at all: written beside it under a name of their own, then put into its place.
struct FileUpload {
    private static let bufferBytes = 1 << 20
    /// So much of a file is kept in memory for whoever reads it next.
    private static let cachedBytes: UInt64 = 16 << 20

    private let path: FilePath
    private let folder: FilePath
    private let mode: UInt32?

    /// - Parameter mode: of the new file; nil for that of the one it takes the place of, or 0644.
    init(to path: FilePath, mode: UInt32?) throws(FileFailure) {
        // Through links to the file that is meant; of a file that is not there yet, the folder counts.
        let resolved = path.withCString { given -> [UInt8]? in
            guard let real = realpath(given, nil) else { return nil }
            defer { free(real) }
            return Array(UnsafeRawBufferPointer(start: real, count: strlen(real)))
        }
        self.path = if let resolved { try FilePath(resolved) } else { path }
        guard let parent = self.path.parent else { throw FileFailure(.isDirectory, "/ is a folder") }
        guard path.bytes.last != UInt8(ascii: "/") else { throw FileFailure(.isDirectory, "\(path) names a folder") }
        folder = parent
        self.mode = mode
    }

    /// Takes chunks until an empty one, and puts the file in its place.
    ///
    /// - Throws: `incomplete` if the input ends before that; then, as after all failures, nothing is left behind.
    func receive(from input: Int32) throws(FileFailure) -> (size: UInt64, sha256: [UInt8]) {
        try folder.makeDirectories()
        var finalMode = mode ?? 0o644
        if resolvedExists {
            let status = try path.status()
            guard status.kind != .directory else { throw FileFailure(.isDirectory, "\(path) is a folder") }
            guard status.kind == .file else { throw FileFailure(.invalidPath, "\(path) is no plain file") }
            finalMode = mode ?? status.mode
        }
        let temporary = folder.appending(Self.temporaryName())
        Self.removeIfHungUp(temporary)
        let file = temporary.withCString { open($0, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600) }
        guard file >= 0 else { throw path.failure("cannot be written", errno) }
        var isOpen = true
        do throws(FileFailure) {
            let result = try take(from: input, into: file)
            guard fchmod(file, mode_t(finalMode)) == 0 else { throw path.failure("cannot get its mode", errno) }
            guard fsync(file) == 0 else { throw path.failure("cannot be written", errno) }
            isOpen = false
            guard close(file) == 0 else { throw path.failure("cannot be written", errno) }
            let error = temporary.withCString { from in path.withCString { to in rename(from, to) == 0 ? 0 : errno } }
            guard error == 0 else { throw path.failure("cannot be written", error) }
            return result
        } catch {
            if isOpen { close(file) }
            _ = temporary.withCString { unlink($0) }
            throw error
        }
    }

    private var resolvedExists: Bool { path.withCString { access($0, F_OK) == 0 } }

    private func take(from input: Int32, into file: Int32) throws(FileFailure) -> (UInt64, [UInt8]) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferBytes, alignment: 4096)
        defer { buffer.deallocate() }
        var hash = SHA256()
        var size: UInt64 = 0
        var filled = 0
        func write() throws(FileFailure) {
            let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<filled])
            hash.update(bytes)
            // A large file would push everything else of the sandbox out of its memory, and be written twice as slowly for it.
            let isDirect = filled == buffer.count && size >= Self.cachedBytes && execbox_set_direct(file, 1) == 0
            var error = FileStream.write(bytes, to: file, at: size)
            if isDirect {
                _ = execbox_set_direct(file, 0)
                // Not every file system takes it.
                if error == EINVAL { error = FileStream.write(bytes, to: file, at: size) }
            }
            guard error == 0 else { throw path.failure("cannot be written", error) }
            size += UInt64(filled)
            filled = 0
        }
        while true {
            var length: UInt32 = 0
            let isWhole = withUnsafeMutableBytes(of: &length) { FileStream.fill($0, from: input) == $0.count }
            guard isWhole else { throw Self.incomplete }
            var left = Int(UInt32(bigEndian: length))
            if left == 0 {
                try write()
                return (size, hash.finished())
            }
            while left > 0 {
                let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<min(filled + left, buffer.count)])
                guard FileStream.fill(piece, from: input) == piece.count else { throw Self.incomplete }
                filled += piece.count
                left -= piece.count
                if filled == buffer.count { try write() }
            }
        }
    }

    private static var incomplete: FileFailure { FileFailure(.incomplete, "the bytes ended before they were complete") }

    // Read by the signal's handler, so it is no Swift object; set once, before the file is there.
    private nonisolated(unsafe) static var unfinished: UnsafeMutablePointer<CChar>?

    /// A server that is lost is told of by SIGHUP, a minute later.
    private static func removeIfHungUp(_ temporary: FilePath) {
        unfinished = temporary.withCString { strdup($0) }
        for number in [SIGHUP, SIGTERM, SIGINT] {
            signal(number) { _ in
                if let path = FileUpload.unfinished { unlink(path) }
                _exit(1)
            }
        }
    }

    private static func temporaryName() -> [UInt8] {
        var random: UInt64 = 0
        _ = execbox_random(&random, MemoryLayout.size(ofValue: random))
        return Array(".execbox-\(String(random, radix: 16))".utf8)
    }
}
