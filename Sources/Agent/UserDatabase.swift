import ExecboxWire

/// The sandbox's own passwd and group files, read without name services: those want shared libraries that a static program cannot load.
package struct UserDatabase: Sendable {
    /// Who a process runs as.
    package struct Identity: Equatable, Sendable {
        package var user: UInt32
        package var group: UInt32
        package var supplementaryGroups: [UInt32]
        /// Empty if the user has no entry.
        package var name: String
        /// `/` if the user has no entry.
        package var home: String
    }

    private struct User {
        let name: String
        let id: UInt32
        let group: UInt32
        let home: String
    }

    private struct Group {
        let name: String
        let id: UInt32
        let members: [Substring]
    }

    /// Ids are signed in much software, and -1 means "leave it" to the kernel.
    private static let maxID = UInt32(Int32.max)

    private let users: [User]
    private let groups: [Group]

    /// - Parameters: the files' contents; lines that are no entries are passed over.
    package init(passwd: [UInt8], group: [UInt8]) {
        users = Self.lines(passwd).compactMap { fields in
            guard fields.count >= 6, let id = Self.id(fields[2]), let group = Self.id(fields[3]) else { return nil }
            return User(name: String(fields[0]), id: id, group: group, home: String(fields[5]))
        }
        groups = Self.lines(group).compactMap { fields in
            guard fields.count >= 3, let id = Self.id(fields[2]) else { return nil }
            let members = fields.count > 3 ? fields[3].split(separator: ",") : []
            return Group(name: String(fields[0]), id: id, members: members)
        }
    }

    /// Looks up `name`, `uid`, `name:group` or `uid:gid`; empty means root. As with runtimes, a named group takes the place of all others.
    package func identity(of text: String) throws(AgentFailure) -> Identity {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let wantedUser = parts.first.map(String.init) ?? ""
        let wantedGroup = parts.count > 1 ? String(parts[1]) : ""

        let number = wantedUser.isEmpty ? 0 : Self.id(wantedUser[...])
        // A name may consist of digits; names win.
        let entry = users.first { $0.name == wantedUser } ?? users.first { $0.id == number }
        guard let user = entry?.id ?? number else {
            throw AgentFailure(.unknownUser, "unknown user \(wantedUser): the sandbox's /etc/passwd has no such name")
        }
        var group = entry?.group ?? 0
        var supplementary: [UInt32] = []
        if !wantedGroup.isEmpty {
            guard let id = groups.first(where: { $0.name == wantedGroup })?.id ?? Self.id(wantedGroup[...]) else {
                throw AgentFailure(.unknownUser, "unknown group \(wantedGroup): the sandbox's /etc/group has no such name")
            }
            group = id
        } else if let entry {
            for candidate in groups where candidate.id != group && candidate.members.contains(where: { $0 == entry.name }) {
                if !supplementary.contains(candidate.id) { supplementary.append(candidate.id) }
            }
        }
        let home = entry?.home ?? ""
        return Identity(
            user: user, group: group, supplementaryGroups: supplementary, name: entry?.name ?? "", home: home.isEmpty ? "/" : home)
    }

    private static func lines(_ bytes: [UInt8]) -> [[Substring]] {
        bytes.split(separator: 0x0A).compactMap { line in
            guard line.first != 0x23, let text = String(validating: line, as: UTF8.self) else { return nil }
            return text.split(separator: ":", omittingEmptySubsequences: false)
        }
    }

    private static func id(_ text: Substring) -> UInt32? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let id = UInt32(text), id <= maxID else { return nil }
        return id
    }
}
