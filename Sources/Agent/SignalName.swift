/// Signal numbers of Linux and what they are called.
package enum SignalName {
    private static let names = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT",
        "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
    ]
    private static let aliases: [String: Int32] = ["IOT": 6, "CLD": 17, "POLL": 29, "UNUSED": 31]
    /// As programs see them: the C library keeps 32 and 33 for itself.
    private static let firstRealTime: Int32 = 34
    private static let lastRealTime: Int32 = 64

    /// The number of `SIGTERM`, `TERM`, `term`, `SIGRTMIN+3` or `15`, as images name their stop signal; nil if there is none.
    package static func number(of name: String) -> Int32? {
        if let number = decimal(name) { return (1...lastRealTime).contains(number) ? number : nil }
        var name = name.uppercased()
        if name.hasPrefix("SIG") { name.removeFirst(3) }
        if let index = names.firstIndex(of: name) { return Int32(index) + 1 }
        if let alias = aliases[name] { return alias }
        return realTimeNumber(name)
    }

    /// `SIGTERM` for 15.
    package static func name(of number: Int32) -> String {
        if number >= 1, number <= names.count { return "SIG" + names[Int(number) - 1] }
        if number == firstRealTime { return "SIGRTMIN" }
        if number > firstRealTime, number <= lastRealTime { return "SIGRTMIN+\(number - firstRealTime)" }
        return "SIG\(number)"
    }

    private static func realTimeNumber(_ name: String) -> Int32? {
        if name == "RTMIN" { return firstRealTime }
        if name == "RTMAX" { return lastRealTime }
        let number: Int32
        if name.hasPrefix("RTMIN+"), let step = decimal(String(name.dropFirst(6))) {
            number = firstRealTime + step
        } else if name.hasPrefix("RTMAX-"), let step = decimal(String(name.dropFirst(6))) {
            number = lastRealTime - step
        } else {
            return nil
        }
        return (firstRealTime...lastRealTime).contains(number) ? number : nil
    }

    private static func decimal(_ text: String) -> Int32? {
        guard (1...3).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int32(text)
    }
}
