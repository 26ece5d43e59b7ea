import CAgent
import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// An absolute path of any bytes.
struct FilePath: CustomStringConvertible {
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) throws(FileFailure) {
        guard bytes.first == UInt8(ascii: "/"), !bytes.contains(0) else {
            throw FileFailure(.invalidPath, "\(String(decoding: bytes, as: UTF8.self)) is no absolute path")
        }
        self.bytes = bytes
    }

    private init(unchecked bytes: [UInt8]) { self.bytes = bytes }

    /// For messages; what is no UTF-8 is shown as such.
    var description: String { String(decoding: bytes, as: UTF8.self) }

    func withCString<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        let characters = bytes.map(CChar.init(bitPattern:)) + [0]
        return characters.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { preconditionFailure("there is a NUL at least") }
            return body(start)
        }
    }

    /// The last part of the path, empty for `/`.
    var name: [UInt8] { Array(trimmed.bytes[trimmed.nameStart...]) }

    /// The folder it stands in; nil for `/`.
    var parent: FilePath? {
        let path = trimmed
        guard path.bytes.count > 1 else { return nil }
        let end = path.nameStart - 1
        return FilePath(unchecked: end == 0 ? [UInt8(ascii: "/")] : Array(path.bytes[..<end]))
    }

    func appending(_ name: [UInt8]) -> FilePath {
        FilePath(unchecked: trimmed.bytes.count == 1 ? [UInt8(ascii: "/")] + name : trimmed.bytes + [UInt8(ascii: "/")] + name)
    }

    private var nameStart: Int { (bytes.lastIndex(of: UInt8(ascii: "/")) ?? -1) + 1 }

    /// Without slashes at its end.
    private var trimmed: FilePath {
        var end = bytes.count
        while end > 1, bytes[end - 1] == UInt8(ascii: "/") { end -= 1 }
        return FilePath(unchecked: Array(bytes[..<end]))
    }

    // MARK: What stands there

    /// Of the path itself, if it is a symbolic link.
    func status() throws(FileFailure) -> FileStatus {
        var found = stat()
        let error = withCString { lstat($0, &found) == 0 ? 0 : errno }
        guard error == 0 else { throw failure("cannot be looked at", error) }
        return FileStatus(found, target: found.st_mode & S_IFMT == S_IFLNK ? withCString { Self.target(AT_FDCWD, $0) } : [])
    }

    func status(of file: Int32) throws(FileFailure) -> FileStatus {
        var found = stat()
        guard fstat(file, &found) == 0 else { throw failure("cannot be looked at", errno) }
        return FileStatus(found, target: [])
    }

    static func target(_ folder: Int32, _ name: UnsafePointer<CChar>) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: FileStatus.maxTargetLength) { buffer, count in
            count = buffer.withMemoryRebound(to: CChar.self) { characters in
                characters.baseAddress.map { max(0, readlinkat(folder, name, $0, characters.count)) } ?? 0
            }
        }
    }

    /// The path and every missing folder above it, 0755.
    func makeDirectories() throws(FileFailure) {
        var found = stat()
        let isThere = withCString { stat($0, &found) == 0 }
        if isThere {
            guard found.st_mode & S_IFMT == S_IFDIR else { throw FileFailure(.exists, "\(self) is there and no folder") }
            return
        }
        try parent?.makeDirectories()
        let error = withCString { mkdir($0, 0o755) == 0 ? 0 : errno }
        // Somebody else may have made it meanwhile.
        guard error == 0 || error == EEXIST else { throw failure("cannot be made", error) }
    }

    // MARK: Failures

    func failure(_ what: String, _ error: Int32) -> FileFailure {
        let code: FileFailure.Code =
            switch error {
            case ENOENT: .notFound
            case ENOTDIR: .notDirectory
            case EISDIR: .isDirectory
            case EEXIST: .exists
            case ENOTEMPTY: .notEmpty
            case EACCES, EPERM: .denied
            case EROFS: .readOnly
            case ENOSPC, EDQUOT, EFBIG: .noSpace
            case ENAMETOOLONG, ELOOP, EINVAL, EBUSY, ETXTBSY: .invalidPath
            case EXDEV: .crossDevice
            default: .failed
            }
        return FileFailure(code, "\(self) \(what): \(Spawner.text(of: error))")
    }
}

extension FileStatus {
    init(_ found: stat, target: [UInt8]) {
        let kind: Kind =
            switch found.st_mode & S_IFMT {
            case S_IFREG: .file
            case S_IFDIR: .directory
            case S_IFLNK: .symbolicLink
            default: .other
            }
        self.init(
            kind: kind, size: UInt64(clamping: found.st_size), mode: UInt32(found.st_mode & 0o7777),
            modifiedMicroseconds: Int64(found.st_mtim.tv_sec) &* 1_000_000 &+ Int64(found.st_mtim.tv_nsec / 1000),
            inode: UInt64(found.st_ino), target: target)
    }
}
