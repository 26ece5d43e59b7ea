import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Reads folders.
enum FolderListing {
    /// More than this in one folder is refused; memory is the sandbox's own.
    static let maxEntries = 200_000

    /// Everything in the folder but `.` and `..`, sorted by the names' bytes. What vanishes meanwhile is left out.
    static func entries(of path: FilePath) throws(FileFailure) -> [FileEntry] {
        let folder = path.withCString { opendir($0) }
        guard let folder else { throw path.failure("cannot be listed", errno) }
        defer { closedir(folder) }
        var entries: [FileEntry] = []
        let file = dirfd(folder)
        while true {
            errno = 0
            guard let entry = readdir(folder) else { break }
            let found: FileEntry? = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)) { name in
                    var status = stat()
                    guard fstatat(file, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return nil }
                    let target = status.st_mode & S_IFMT == S_IFLNK ? FilePath.target(file, name) : []
                    let bytes = UnsafeRawBufferPointer(start: name, count: strlen(name))
                    return FileEntry(name: Array(bytes), status: FileStatus(status, target: target))
                }
            }
            guard let found, found.name != Array(".".utf8), found.name != Array("..".utf8) else { continue }
            guard entries.count < maxEntries else {
                throw FileFailure(.tooLarge, "\(path) has more than \(maxEntries) entries; read it as a tree")
            }
            entries.append(found)
        }
        guard errno == 0 || errno == ENOENT else { throw path.failure("cannot be listed", errno) }
        return entries.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }
}
