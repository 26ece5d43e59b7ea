import ExecboxModel

/// The fields that several bodies share, and what each may hold.
extension JSONReader {
    /// A non-empty text without NUL of at most `max` UTF-8 bytes.
    func text(max: Int) throws(ExecboxError) -> String {
        let text = try string()
        if let problem = FieldForm.problem(text: text, max: max) { throw invalid(problem) }
        return text
    }

    /// A name or remark for people: no control characters, at most `max` characters, and if it may not be empty, more than white space.
    func label(max: Int, mayBeEmpty: Bool = false) throws(ExecboxError) -> String {
        let text = try string()
        if let problem = FieldForm.problem(label: text, max: max, mayBeEmpty: mayBeEmpty) { throw invalid(problem) }
        return text
    }

    /// How many of something somebody may have: at least one.
    func count() throws(ExecboxError) -> Int { Int(try integer(in: 1...1_000_000_000)) }

    func timestamp() throws(ExecboxError) -> Timestamp {
        guard let timestamp = Timestamp(try string()) else { throw invalid("must be an RFC 3339 time, such as 2030-01-31T23:59:59Z") }
        return timestamp
    }

    func email() throws(ExecboxError) -> String {
        let text = try string()
        if let problem = FieldForm.problem(email: text) { throw invalid(problem) }
        return text
    }

    /// An absolute https URL with a host, without user and password.
    func httpsURL() throws(ExecboxError) -> String {
        let text = try string()
        let rest = text.dropFirst(8)
        let authority = rest.prefix { !"/?#".contains($0) }
        let isFine =
            text.lowercased().hasPrefix("https://") && text.utf8.count <= 2000 && !authority.isEmpty && !authority.contains("@")
            && !authority.hasPrefix(":") && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } && !text.contains("#")
        guard isFine else {
            throw invalid("must be an https URL without user, password and fragment, of at most 2000 characters")
        }
        return text
    }

    func scopes() throws(ExecboxError) -> Set<Scope> {
        let elements = try list(max: Scope.allCases.count)
        return Set(try elements.map { element throws(ExecboxError) in try element.choice(Scope.self) })
    }

    /// A program and its arguments. The program may not be empty, its arguments may.
    func command() throws(ExecboxError) -> [String] {
        let elements = try list(max: FieldForm.maxArguments)
        guard let program = elements.first else { throw invalid("must not be empty") }
        guard try !program.string().isEmpty else { throw program.invalid("must not be empty") }
        return try elements.map { element throws(ExecboxError) in
            let text = try element.string()
            if let problem = FieldForm.problem(argument: text) { throw element.invalid(problem) }
            return text
        }
    }

    func environment() throws(ExecboxError) -> [String: String] {
        var environment: [String: String] = [:]
        for (name, reader) in try object().all(max: FieldForm.maxArguments) {
            guard !name.isEmpty, !name.contains("="), !name.utf8.contains(0) else {
                throw reader.invalid("is no name of a variable: it must not be empty nor contain '=' or NUL")
            }
            let value = try reader.string()
            if let problem = FieldForm.problem(argument: value) { throw reader.invalid(problem) }
            environment[name] = value
        }
        return environment
    }

    func workingDirectory() throws(ExecboxError) -> String {
        let path = try string()
        if let problem = FieldForm.problem(absolutePath: path) { throw invalid(problem) }
        return path
    }

    func user() throws(ExecboxError) -> String {
        let user = try string()
        if let problem = FieldForm.problem(user: user) { throw invalid(problem) }
        return user
    }

    func labels() throws(ExecboxError) -> [String: String] {
        var labels: [String: String] = [:]
        for (key, reader) in try object().all(max: FieldForm.maxLabels) {
            if let problem = FieldForm.problem(labelKey: key) { throw reader.invalid(problem) }
            let value = try reader.string()
            if let problem = FieldForm.problem(labelValue: value) { throw reader.invalid(problem) }
            labels[key] = value
        }
        return labels
    }

    /// A terminal: `true` for 80 × 24, or an object with `cols` and `rows`; nil for `false`.
    func terminal() throws(ExecboxError) -> TerminalSize? {
        switch value {
        case .bool(true): return TerminalSize()
        case .bool(false): return nil
        case .object:
            var object = try object()
            let columns = try object.optional("cols")?.integer(in: FieldForm.terminalRange)
            let rows = try object.optional("rows")?.integer(in: FieldForm.terminalRange)
            try object.finish()
            var size = TerminalSize()
            if let columns { size.columns = UInt16(columns) }
            if let rows { size.rows = UInt16(rows) }
            return size
        default: throw mismatch("a boolean or an object with cols and rows")
        }
    }

    func execID() throws(ExecboxError) -> String {
        let id = try string()
        if let problem = FieldForm.problem(execID: id) { throw invalid(problem) }
        return id
    }

    func milliseconds(min: Int64) throws(ExecboxError) -> Int64 {
        try integer(in: min...FieldForm.maxMilliseconds)
    }
}
