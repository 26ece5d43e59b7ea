import ExecboxModel
import ExecboxSandbox
import Glibc

/// The host folder in which every sandbox has one of its own, named by its sandbox id and mounted read-only into it. Only folders of that
/// name are ever removed.
struct RunDirectory: Sendable {
    let path: String

    func path(of id: SandboxID) -> String { "\(path)/\(id)" }

    /// Makes the folder and its parents; only root gets in.
    func make() throws(BackendError) {
        var current = ""
        for component in path.split(separator: "/") {
            current += "/\(component)"
            guard mkdir(current, current == path ? 0o700 : 0o755) == 0 || errno == EEXIST else { throw Self.failure(current) }
        }
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { throw .internal("\(path) is not a folder") }
        guard status.st_uid == geteuid() else { throw .internal("\(path) belongs to another user") }
        guard chmod(path, 0o700) == 0 else { throw Self.failure(path) }
    }

    func make(_ id: SandboxID) throws(BackendError) {
        try make()
        // The sandbox's root enters it, its other users do not.
        guard mkdir(path(of: id), 0o700) == 0 || errno == EEXIST else { throw Self.failure(path(of: id)) }
    }

    /// Removes the sandbox's folder and the sockets in it. Success when it is gone.
    func remove(_ id: SandboxID) throws(BackendError) {
        let folder = open(path(of: id), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if folder < 0 {
            if errno == ENOENT { return }
            throw Self.failure(path(of: id))
        }
        // The stream owns the descriptor from here.
        guard let stream = fdopendir(folder) else {
            close(folder)
            throw Self.failure(path(of: id))
        }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { unlinkat(folder, name, 0) }
        }
        closedir(stream)
        guard rmdir(path(of: id)) == 0 || errno == ENOENT else { throw Self.failure(path(of: id)) }
    }

    private static func failure(_ path: String) -> BackendError {
        .internal("\(path): \(String(cString: strerror(errno)))")
    }
}
