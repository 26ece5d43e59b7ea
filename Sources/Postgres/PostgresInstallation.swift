import Glibc

/// Where PostgreSQL's programs are, and as whom they have to run.
struct PostgresInstallation: Sendable {
    let directory: String

    /// The major version, for example 15; nil for a directory that came from `PATH`.
    let version: Int?

    /// Set when we are root, which PostgreSQL refuses to be.
    let account: Account?

    struct Account: Sendable {
        let user: uid_t
        let group: gid_t
    }

    /// Finds the installation of a major version, or the highest one. Throws `.cluster` if there is none.
    static func find(version: Int? = nil) throws(PostgresError) -> PostgresInstallation {
        var account: Account?
        if geteuid() == 0 {
            guard let entry = getpwnam("postgres") else {
                throw PostgresError(.cluster, "root cannot run PostgreSQL, and there is no user \"postgres\" to do it")
            }
            account = Account(user: entry.pointee.pw_uid, group: entry.pointee.pw_gid)
        }
        let root = "/usr/lib/postgresql"
        let versions = Self.entries(root).compactMap { Int($0) }.sorted(by: >)
        for candidate in versions where version == nil || candidate == version {
            let directory = "\(root)/\(candidate)/bin"
            if access("\(directory)/postgres", X_OK) == 0 {
                return PostgresInstallation(directory: directory, version: candidate, account: account)
            }
        }
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        for directory in path.split(separator: ":") where access("\(directory)/postgres", X_OK) == 0 {
            return PostgresInstallation(directory: String(directory), version: nil, account: account)
        }
        throw PostgresError(.cluster, "PostgreSQL\(version.map { " \($0)" } ?? "") is not installed (looked in \(root) and PATH)")
    }

    /// The command line of one of the programs, as the account that has to run it.
    func command(_ program: String, _ arguments: [String]) throws(PostgresError) -> [String] {
        let command = ["\(self.directory)/\(program)"] + arguments
        guard let account else { return command }
        if let setpriv = Self.program("setpriv") {
            return [setpriv, "--reuid=\(account.user)", "--regid=\(account.group)", "--init-groups", "--"] + command
        }
        if let runuser = Self.program("runuser") { return [runuser, "-u", "postgres", "--"] + command }
        throw PostgresError(.cluster, "neither setpriv nor runuser is installed")
    }

    private static func program(_ name: String) -> String? {
        ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    private static func entries(_ directory: String) -> [String] {
        guard let handle = opendir(directory) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            names.append(withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        return names
    }
}
