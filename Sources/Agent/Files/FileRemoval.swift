import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Removes a file, a link or a folder; of links only the link.
struct FileRemoval {
    private let path: FilePath

    init(of path: FilePath) throws(FileFailure) {
        guard path.parent != nil else { throw FileFailure(.invalidPath, "/ cannot be removed") }
        guard ![Array(".".utf8), Array("..".utf8)].contains(path.name) else {
            throw FileFailure(.invalidPath, "\(path) ends in a name that is not its own")
        }
        self.path = path
    }

    func run(isRecursive: Bool) throws(FileFailure) {
        guard try path.status().kind == .directory else {
            let error = path.withCString { unlink($0) == 0 ? 0 : errno }
            guard error == 0 else { throw path.failure("cannot be removed", error) }
            return
        }
        if isRecursive {
            let folder = path.withCString { open($0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) }
            guard folder >= 0 else { throw path.failure("cannot be removed", errno) }
            try Self.empty(folder, path)
        }
        let error = path.withCString { rmdir($0) == 0 ? 0 : errno }
        guard error == 0 else { throw path.failure("cannot be removed", error) }
    }

    /// By descriptors and never through a link: whoever exchanges folders meanwhile leads us nowhere else.
    private static func empty(_ folder: Int32, _ path: FilePath) throws(FileFailure) {
        guard let stream = fdopendir(folder) else {
            let error = errno
            close(folder)
            throw path.failure("cannot be removed", error)
        }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)) { name in
                    Array(UnsafeBufferPointer(start: name, count: strlen(name) + 1))
                }
            }
            let bytes = name.dropLast().map(UInt8.init(bitPattern:))
            guard bytes != Array(".".utf8), bytes != Array("..".utf8) else { continue }
            let child = path.appending(bytes)
            if unlinkat(folder, name, 0) == 0 || errno == ENOENT { continue }
            let refusal = errno
            guard refusal == EISDIR || refusal == EPERM else { throw child.failure("cannot be removed", refusal) }
            let inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard inner >= 0 else { throw child.failure("cannot be removed", errno == ENOTDIR ? refusal : errno) }
            try empty(inner, child)
            guard unlinkat(folder, name, AT_REMOVEDIR) == 0 || errno == ENOENT else { throw child.failure("cannot be removed", errno) }
        }
    }
}
