/// How an agent is run; what has no flag of its own is for tests.
package struct Configuration: Sendable {
    package enum Transport: Equatable, Sendable {
        /// Connects to every `<8 hex>.sock` in this folder.
        case dialOut(directory: String)
        /// Waits for servers that know the secret of this hash.
        case listen(address: String, port: UInt16, secretHash: [UInt8])
    }

    package static let version = "0.1.0"

    package var transport: Transport
    /// How long an exec whose client was lost waits for it to come back.
    package var orphanSeconds = 60
    /// How long a lossless reader may hold others back.
    package var slowReaderSeconds = 30
    /// How long a retained exec is kept after its end.
    package var retentionSeconds = 600
    /// Between Hangup's SIGHUP and SIGKILL.
    package var hangupSeconds = 5
    /// Between two bursts to a recorder.
    package var recorderMilliseconds = 1000

    package init(transport: Transport) {
        self.transport = transport
    }

    /// Reads a command line; nil if it is not understood.
    package init?(arguments: [String]) {
        var values: [String: String] = [:]
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard name.hasPrefix("--"), let value = rest.popFirst(), values.updateValue(value, forKey: name) == nil else { return nil }
        }
        if let directory = values.removeValue(forKey: "--dial-out") {
            guard directory.hasPrefix("/") else { return nil }
            transport = .dialOut(directory: directory)
        } else {
            guard let place = values.removeValue(forKey: "--listen"), let colon = place.lastIndex(of: ":"),
                let port = UInt16(place[place.index(after: colon)...]),
                let hash = values.removeValue(forKey: "--secret-sha256").flatMap(Self.bytes(ofHex:)), hash.count == SHA256.length
            else { return nil }
            var address = place[..<colon]
            if address.hasPrefix("["), address.hasSuffix("]") { address = address.dropFirst().dropLast() }
            transport = .listen(address: String(address), port: port, secretHash: hash)
        }
        let numbers: [(String, WritableKeyPath<Self, Int>)] = [
            ("--orphan-seconds", \.orphanSeconds), ("--slow-reader-seconds", \.slowReaderSeconds),
            ("--retention-seconds", \.retentionSeconds), ("--hangup-seconds", \.hangupSeconds),
            ("--recorder-ms", \.recorderMilliseconds),
        ]
        for (name, path) in numbers {
            guard let text = values.removeValue(forKey: name) else { continue }
            guard let number = Int(text), (1...1_000_000).contains(number) else { return nil }
            self[keyPath: path] = number
        }
        guard values.isEmpty else { return nil }
    }

    private static func bytes(ofHex text: String) -> [UInt8]? {
        let digits = text.utf8.map { Character(UnicodeScalar($0)).hexDigitValue }
        guard digits.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = digits[index], let low = digits[index + 1] else { return nil }
            bytes.append(UInt8(high << 4 | low))
        }
        return bytes
    }
}
