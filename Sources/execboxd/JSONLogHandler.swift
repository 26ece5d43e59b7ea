import Logging

/// One JSON object a line on standard error: `at`, `level`, `message`, and the metadata beside them.
struct JSONLogHandler: LogHandler {
    var logLevel: Logger.Level = .info
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields = metadata
        if let provided = metadataProvider?.get() { fields.merge(provided) { $1 } }
        if let explicit = event.metadata { fields.merge(explicit) { $1 } }
        for reserved in ["at", "level", "message"] { fields[reserved] = nil }
        var line = JSONLine(level: event.level, message: event.message.description)
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            if case .string(let text) = value { line.add(key, text) } else { line.add(key, value.description) }
        }
        LogOutput.standardError.write(line.finished(), isUrgent: event.level >= .warning)
    }
}
