import CAgent
import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Turns a start request into a running process and the agent's ends of its descriptors.
struct Spawner {
    struct Spawned {
        let pid: pid_t
        /// -1 if the process reads /dev/null.
        let stdin: Int32
        let stdout: Int32
        /// -1 for a terminal.
        let stderr: Int32
    }

    /// Descriptors that are closed again unless the start succeeds.
    private struct Descriptors {
        var parent: [Int32] = []
        var child: [Int32] = []

        func closeAll() {
            for descriptor in parent + child { close(descriptor) }
        }
    }

    /// The limit the agent itself was started with; it has raised its own.
    let openFiles: rlimit

    /// - Parameter inherited: what every process but main has beside its own environment.
    func spawn(_ request: StartRequest, inheriting inherited: [String]) throws(AgentFailure) -> Spawned {
        let directory = request.workingDirectory.isEmpty ? "/" : request.workingDirectory
        guard directory.hasPrefix("/") else {
            throw AgentFailure(.badWorkingDirectory, "the working directory \(directory) is not absolute")
        }
        for text in request.arguments + request.environment + [directory] where text.utf8.contains(0) {
            throw AgentFailure(.invalidRequest, "arguments, environment and working directory cannot hold NUL")
        }
        let identity = try Self.userDatabase().identity(of: request.user)
        var environment = Environment(inherited)
        environment.add(request.environment)
        environment.setIfAbsent("PATH", Environment.defaultSearchPath)
        environment.setIfAbsent("HOME", identity.home)
        if !identity.name.isEmpty { environment.setIfAbsent("USER", identity.name) }
        if request.terminal != nil { environment.setIfAbsent("TERM", "xterm") }

        var descriptors = Descriptors()
        do {
            let (spawned, wiring) = try Self.wire(request, owner: identity.user, &descriptors)
            let result = try start(request, directory, environment, identity, wiring)
            for descriptor in descriptors.child { close(descriptor) }
            return Spawned(pid: result, stdin: spawned.stdin, stdout: spawned.stdout, stderr: spawned.stderr)
        } catch {
            descriptors.closeAll()
            throw error
        }
    }

    // MARK: Descriptors

    private struct Wiring {
        let stdin: Int32
        let stdout: Int32
        let stderr: Int32
    }

    private static func wire(
        _ request: StartRequest, owner: UInt32, _ descriptors: inout Descriptors
    ) throws(AgentFailure) -> (Spawned, Wiring) {
        if let size = request.terminal {
            var master: Int32 = -1
            var slave: Int32 = -1
            let error = execbox_open_terminal(&master, &slave, size.columns, size.rows, owner)
            guard error == 0 else { throw shortage("opening a terminal", error) }
            descriptors.parent.append(master)
            descriptors.child.append(slave)
            makeNonBlocking(master)
            // A descriptor of its own for each direction: they are watched and closed apart.
            let input = request.opensStdin ? fcntl(master, F_DUPFD_CLOEXEC, 3) : -1
            guard input >= 0 || !request.opensStdin else { throw shortage("opening a terminal", errno) }
            if input >= 0 { descriptors.parent.append(input) }
            return (Spawned(pid: 0, stdin: input, stdout: master, stderr: -1), Wiring(stdin: slave, stdout: slave, stderr: slave))
        }
        let stdout = try pipe(&descriptors, parentReads: true)
        let stderr = try pipe(&descriptors, parentReads: true)
        let stdin: (parent: Int32, child: Int32)
        if request.opensStdin {
            stdin = try pipe(&descriptors, parentReads: false)
        } else {
            let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
            guard null >= 0 else { throw shortage("opening /dev/null", errno) }
            descriptors.child.append(null)
            stdin = (-1, null)
        }
        return (
            Spawned(pid: 0, stdin: stdin.parent, stdout: stdout.parent, stderr: stderr.parent),
            Wiring(stdin: stdin.child, stdout: stdout.child, stderr: stderr.child)
        )
    }

    private static func pipe(_ descriptors: inout Descriptors, parentReads: Bool) throws(AgentFailure) -> (parent: Int32, child: Int32) {
        var ends: (Int32, Int32) = (-1, -1)
        let error = execbox_pipe(&ends.0, &ends.1)
        guard error == 0 else { throw shortage("making a pipe", error) }
        let (parent, child) = parentReads ? (ends.0, ends.1) : (ends.1, ends.0)
        descriptors.parent.append(parent)
        descriptors.child.append(child)
        makeNonBlocking(parent)
        return (parent, child)
    }

    static func makeNonBlocking(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    private static func shortage(_ action: String, _ error: Int32) -> AgentFailure {
        let isFull = error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN
        return AgentFailure(isFull ? .busy : .startFailed, "\(action): \(text(of: error))")
    }

    // MARK: Start

    private func start(
        _ request: StartRequest, _ directory: String, _ environment: Environment, _ identity: UserDatabase.Identity, _ wiring: Wiring
    ) throws(AgentFailure) -> pid_t {
        let searchPath = environment.value(of: "PATH") ?? Environment.defaultSearchPath
        let result = CStringList(request.arguments).withPointers { arguments in
            CStringList(environment.entries).withPointers { environment in
                identity.supplementaryGroups.withUnsafeBufferPointer { groups in
                    directory.withCString { directory in
                        searchPath.withCString { searchPath in
                            var order = execbox_spawn_request(
                                arguments: arguments, environment: environment, search_path: searchPath, working_directory: directory,
                                creates_working_directory: request.createsWorkingDirectory ? 1 : 0, user: identity.user,
                                group: identity.group, groups: groups.baseAddress, group_count: groups.count,
                                standard_input: wiring.stdin, standard_output: wiring.stdout, standard_error: wiring.stderr,
                                is_terminal: request.terminal == nil ? 0 : 1, open_files: openFiles)
                            return execbox_spawn(&order)
                        }
                    }
                }
            }
        }
        guard let result else { throw AgentFailure(.internal, "no memory for the arguments") }
        guard result.pid > 0 else { throw Self.failure(result, request, directory, identity) }
        return result.pid
    }

    private static func failure(
        _ result: execbox_spawn_result, _ request: StartRequest, _ directory: String, _ identity: UserDatabase.Identity
    ) -> AgentFailure {
        let program = request.arguments.first ?? ""
        let reason = text(of: result.error)
        switch result.stage {
        case EXECBOX_STAGE_EXEC where result.error == ENOENT || result.error == ENOTDIR:
            return AgentFailure(.commandNotFound, "command not found: \(program)")
        case EXECBOX_STAGE_INTERPRETER:
            return AgentFailure(.commandNotFound, "command not found: \(program) is there, but not the interpreter or loader it names")
        case EXECBOX_STAGE_EXEC where result.error == EACCES || result.error == ENOEXEC || result.error == EPERM:
            return AgentFailure(.notExecutable, "not executable: \(program): \(reason)")
        case EXECBOX_STAGE_MAKE_DIRECTORY:
            return AgentFailure(.badWorkingDirectory, "cannot make the working directory \(directory): \(reason)")
        case EXECBOX_STAGE_DIRECTORY:
            return AgentFailure(.badWorkingDirectory, "cannot enter the working directory \(directory): \(reason)")
        case EXECBOX_STAGE_FORK where result.error == EAGAIN || result.error == ENOMEM:
            return AgentFailure(.busy, "the sandbox can hold no further process: \(reason)")
        case EXECBOX_STAGE_PIPE: return shortage("making a pipe", result.error)
        default: break
        }
        let stage =
            switch result.stage {
            case EXECBOX_STAGE_FORK: "fork"
            case EXECBOX_STAGE_SESSION: "setsid"
            case EXECBOX_STAGE_TERMINAL: "taking the terminal"
            case EXECBOX_STAGE_STDIO: "dup2"
            case EXECBOX_STAGE_LIMITS: "setrlimit"
            case EXECBOX_STAGE_GROUPS: "setgroups"
            case EXECBOX_STAGE_GROUP: "setgid \(identity.group)"
            case EXECBOX_STAGE_USER: "setuid \(identity.user)"
            case EXECBOX_STAGE_CAPABILITIES: "capset"
            case EXECBOX_STAGE_EXEC: "execve \(program)"
            case EXECBOX_STAGE_SILENT: "waiting for execve"
            default: "stage \(result.stage.rawValue)"
            }
        return AgentFailure(.startFailed, "\(stage): \(reason) (errno \(result.error))")
    }

    static func text(of error: Int32) -> String {
        strerror(error).map { String(cString: $0) } ?? "errno \(error)"
    }

    // MARK: Users

    private static func userDatabase() -> UserDatabase {
        UserDatabase(passwd: contents("/etc/passwd"), group: contents("/etc/group"))
    }

    /// Of a plain file, up to 4 MiB: the sandbox may have put anything in its place.
    private static func contents(_ path: String) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return [] }
        let size = min(Int(status.st_size), 4 << 20)
        return [UInt8](unsafeUninitializedCapacity: size) { buffer, used in
            while used < size {
                let count = read(file, buffer.baseAddress.map { $0 + used }, size - used)
                guard count > 0 else { return }
                used += count
            }
        }
    }
}
