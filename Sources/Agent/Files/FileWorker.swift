import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// One file operation, in a process of its own: `execbox-agent files …`, started as the session's user like any exec, so that the user's rights,
/// the sandbox's limits and its end hold for it too. It may block, which the agent may not.
package struct FileWorker {
    private let operation: FileOperation
    private let input: Int32
    private let output: Int32

    /// - Parameters:
    ///   - input: where a file's bytes come from.
    ///   - output: where replies go.
    package init(_ operation: FileOperation, input: Int32 = 0, output: Int32 = 1) {
        self.operation = operation
        self.input = input
        self.output = output
    }

    /// - Returns: the exit code: 0, or 1 after a failure that was told, 2 if it could not even be told.
    package func run() -> Int32 {
        umask(0o022)
        do throws(FileFailure) {
            try perform()
            return 0
        } catch {
            return tell(.failed(error)) ? 1 : 2
        }
    }

    private func perform() throws(FileFailure) {
        switch operation {
        case .status(let path): tell(.status(try FilePath(path).status()))
        case .list(let path): try list(try FilePath(path))
        case .read(let path, let first, let last): try read(try FilePath(path), first: first, last: last)
        case .write(let path, let mode):
            let upload = try FileUpload(to: try FilePath(path), mode: mode)
            let (size, hash) = try upload.receive(from: input)
            tell(.done(size: size, sha256: hash))
        case .makeDirectory(let path):
            try FilePath(path).makeDirectories()
            tell(.done)
        case .move(let from, let to):
            try move(try FilePath(from), to: try FilePath(to))
            tell(.done)
        case .remove(let path, let isRecursive):
            try FileRemoval(of: try FilePath(path)).run(isRecursive: isRecursive)
            tell(.done)
        }
    }

    @discardableResult
    private func tell(_ reply: FileReply) -> Bool { FileStream.write(reply.bytes, to: output) }

    private func list(_ path: FilePath) throws(FileFailure) {
        var entries = try FolderListing.entries(of: path)[...]
        while !entries.isEmpty {
            guard tell(.entries(Array(entries.prefix(FileReply.entriesPerReply)))) else { return }
            entries = entries.dropFirst(FileReply.entriesPerReply)
        }
        tell(.done)
    }

    private func read(_ path: FilePath, first: UInt64?, last: UInt64?) throws(FileFailure) {
        // A pipe without a writer must not hold us up.
        let file = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) }
        guard file >= 0 else { throw path.failure("cannot be read", errno) }
        defer { close(file) }
        let status = try path.status(of: file)
        guard status.kind != .directory else { throw FileFailure(.isDirectory, "\(path) is a folder") }
        guard status.kind == .file else { throw FileFailure(.invalidPath, "\(path) is no plain file") }
        let start: UInt64
        var end = status.size
        if let first {
            start = min(first, status.size)
            if let last, last < status.size { end = max(start, last + 1) }
        } else {
            start = last.map { status.size - min($0, status.size) } ?? 0
        }
        guard tell(.content(status, start: start, count: end - start)) else { return }
        try FileStream.copy(file, from: start, count: end - start, to: output, path)
    }

    private func move(_ from: FilePath, to: FilePath) throws(FileFailure) {
        _ = try from.status()
        try to.parent?.makeDirectories()
        let error = from.withCString { from in to.withCString { to in rename(from, to) == 0 ? 0 : errno } }
        guard error == 0 else { throw to.failure("cannot take the place of what was moved", error) }
    }
}
