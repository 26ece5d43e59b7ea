import ArgumentParser

/// The remote command, as it stands behind the image or the session.
enum CommandArguments {
    /// Without the `--` in front; an option there is one of ours in the wrong place, which must not be run as a command.
    static func checked(_ arguments: [String], before what: String) throws -> [String] {
        guard let first = arguments.first else { return [] }
        if first == "--" { return Array(arguments.dropFirst()) }
        guard !first.hasPrefix("-") else { throw ValidationError("options such as \(first) go before \(what), or -- before the command") }
        return arguments
    }
}
