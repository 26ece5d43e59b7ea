import ArgumentParser

/// `500ms`, `30s`, `5m`, `2h`; a bare number is seconds.
struct DurationArgument: ExpressibleByArgument {
    let milliseconds: Int64

    init(milliseconds: Int64) { self.milliseconds = milliseconds }

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let number = Double(digits), number >= 0 else { return nil }
        let factor: Double
        switch argument[digits.endIndex...] {
        case "ms": factor = 1
        case "", "s": factor = 1000
        case "m": factor = 60_000
        case "h": factor = 3_600_000
        default: return nil
        }
        guard let milliseconds = Int64(exactly: (number * factor).rounded()) else { return nil }
        self.milliseconds = milliseconds
    }

    var defaultValueDescription: String { "\(milliseconds / 1000)s" }
}

/// `512`, `512m`, `2g`: MiB.
struct MemoryArgument: ExpressibleByArgument {
    let megabytes: Int

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int(digits), number < 1 << 30 else { return nil }
        switch argument[digits.endIndex...].lowercased() {
        case "", "m", "mb", "mib": megabytes = number
        case "g", "gb", "gib": megabytes = number * 1024
        default: return nil
        }
    }
}

/// `0.5`, `2`: CPUs.
struct CPUArgument: ExpressibleByArgument {
    let millis: Int

    init?(argument: String) {
        guard let number = Double(argument), number > 0, number < 10_000 else { return nil }
        millis = Int((number * 1000).rounded())
    }
}

/// `KEY=VALUE`.
struct PairArgument: ExpressibleByArgument {
    let key: String
    let value: String?

    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard let key = parts.first, !key.isEmpty else { return nil }
        self.key = String(key)
        value = parts.count > 1 ? String(parts[1]) : nil
    }
}
