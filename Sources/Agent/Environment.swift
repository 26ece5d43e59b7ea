/// A process's environment: `NAME=value` each, every name once.
package struct Environment {
    /// Where programs are looked for when nobody says anything else.
    static let defaultSearchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    package private(set) var entries: [String] = []
    /// By bytes: the kernel keeps apart what Swift's strings take for the same character.
    private var places: [[UInt8]: Int] = [:]

    /// Of entries with the same name the last one wins, at the place of the first.
    package init(_ entries: [String]) {
        add(entries)
    }

    package mutating func add(_ entries: [String]) {
        for entry in entries { set(entry) }
    }

    package mutating func setIfAbsent(_ name: String, _ value: String) {
        if places[Array(name.utf8)] == nil { set("\(name)=\(value)") }
    }

    package func value(of name: String) -> String? {
        guard let place = places[Array(name.utf8)] else { return nil }
        return String(entries[place].utf8.dropFirst(name.utf8.count + 1)) ?? ""
    }

    private mutating func set(_ entry: String) {
        let name = Self.name(of: entry)
        if let place = places[name] {
            entries[place] = entry
        } else {
            places[name] = entries.count
            entries.append(entry)
        }
    }

    private static func name(of entry: String) -> [UInt8] { Array(entry.utf8.prefix { $0 != UInt8(ascii: "=") }) }
}
