import ExecboxWire
import Testing

@Suite("A frame")
struct FrameTests {
    struct Golden: Sendable, CustomTestStringConvertible {
        let name: String
        let frame: Frame
        let bytes: [UInt8]
        var testDescription: String { name }
    }

    @Test(
        "has exactly these bytes, both ways",
        arguments: [
            Golden(name: "stdin", frame: .stdin([0x68, 0x69]), bytes: [0x01, 0, 0, 0, 2, 0x68, 0x69]),
            Golden(name: "empty stdin", frame: .stdin([]), bytes: [0x01, 0, 0, 0, 0]),
            Golden(name: "stdout", frame: .stdout([0xFF]), bytes: [0x02, 0, 0, 0, 1, 0xFF]),
            Golden(name: "empty stdout", frame: .stdout([]), bytes: [0x02, 0, 0, 0, 0]),
            Golden(name: "stderr", frame: .stderr([0x00, 0x01, 0x02]), bytes: [0x03, 0, 0, 0, 3, 0, 1, 2]),
            Golden(name: "empty stderr", frame: .stderr([]), bytes: [0x03, 0, 0, 0, 0]),
            Golden(name: "exit 0", frame: .exit(0), bytes: [0x04, 0, 0, 0, 0]),
            Golden(name: "exit 137", frame: .exit(137), bytes: [0x04, 0, 0, 0, 137]),
            Golden(name: "exit -1", frame: .exit(-1), bytes: [0x04, 0xFF, 0xFF, 0xFF, 0xFF]),
            Golden(name: "exit least", frame: .exit(.min), bytes: [0x04, 0x80, 0, 0, 0]),
            Golden(name: "error", frame: .error("né"), bytes: [0x05, 0, 0, 0, 3, 0x6E, 0xC3, 0xA9]),
            Golden(name: "empty error", frame: .error(""), bytes: [0x05, 0, 0, 0, 0]),
            Golden(name: "stdin close", frame: .stdinClose, bytes: [0x06]),
            Golden(name: "resize", frame: .resize(columns: 300, rows: 24), bytes: [0x07, 0, 0, 0, 4, 1, 0x2C, 0, 24]),
            Golden(name: "signal", frame: .signal("SIGINT"), bytes: [0x08, 0, 0, 0, 6, 0x53, 0x49, 0x47, 0x49, 0x4E, 0x54]),
            Golden(name: "gap", frame: .gap(1 << 32 | 5), bytes: [0x09, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 5]),
            Golden(name: "credit", frame: .credit(262_144), bytes: [0x0A, 0, 0, 0, 4, 0, 4, 0, 0]),
        ])
    func golden(_ golden: Golden) throws {
        #expect(golden.frame.bytes == golden.bytes)
        #expect(try Frame(golden.bytes) == golden.frame)
    }

    @Test("of every type is among those")
    func types() {
        #expect(FrameType.allCases.map(\.rawValue) == Array(0x01...0x0A))
    }

    @Test("takes 2^24-1 bytes of data and not one more", arguments: [FrameType.stdin, .stdout, .stderr])
    func longest(_ type: FrameType) throws {
        let length = (1 << 24) - 1
        let message = [type.rawValue, 0, 0xFF, 0xFF, 0xFF] + [UInt8](repeating: 7, count: length)
        let frame = try Frame(message)
        #expect(frame.type == type)
        #expect(frame.bytes.count == length + 5)
        #expect(throws: WireError.tooLong(length: 1 << 24, limit: length)) { try Frame([type.rawValue, 1, 0, 0, 0]) }
        #expect(throws: WireError.tooLong(length: 1 << 24, limit: length)) {
            try Frame([type.rawValue, 1, 0, 0, 0] + [UInt8](repeating: 7, count: 1 << 24))
        }
        #expect(throws: WireError.tooLong(length: 11, limit: 10)) {
            try Frame([type.rawValue, 0, 0, 0, 11] + [UInt8](repeating: 7, count: 11), maxPayloadLength: 10)
        }
    }

    @Test(
        "is refused when it is malformed",
        arguments: [
            ([], .empty), ([0x02], .truncated), ([0x02, 0, 0, 0], .truncated),
            ([0x02, 0, 0, 0, 2, 1], .lengthMismatch(expected: 2, actual: 1)),
            ([0x02, 0, 0, 0, 1, 1, 2], .lengthMismatch(expected: 1, actual: 2)),
            ([0x06, 0], .lengthMismatch(expected: 0, actual: 1)), ([0x04, 0, 0, 0], .lengthMismatch(expected: 4, actual: 3)),
            ([0x04, 0, 0, 0, 0, 0], .lengthMismatch(expected: 4, actual: 5)), ([0x00], .unknownType(0)),
            ([0x0B, 0, 0, 0, 0], .unknownType(0x0B)),
            ([0x20, 0, 0, 0, 0], .unknownType(0x20)), ([0xFF], .unknownType(0xFF)), ([0x07, 0, 0, 0, 3, 0, 1, 0], .truncated),
            ([0x07, 0, 0, 0, 5, 0, 1, 0, 1, 0], .lengthMismatch(expected: 0, actual: 1)), ([0x09, 0, 0, 0, 0], .truncated),
            ([0x0A, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0], .lengthMismatch(expected: 0, actual: 4)),
        ] as [([UInt8], WireError)])
    func malformed(_ bytes: [UInt8], _ error: WireError) {
        #expect(throws: error) { try Frame(bytes) }
    }

    @Test("with too long a text is refused")
    func longText() {
        #expect(throws: WireError.tooLong(length: 1025, limit: 1024)) {
            try Frame([0x05, 0, 0, 4, 1] + [UInt8](repeating: 0x61, count: 1025))
        }
        #expect(throws: WireError.tooLong(length: 33, limit: 32)) { try Frame([0x08, 0, 0, 0, 33] + [UInt8](repeating: 0x41, count: 33)) }
    }

    @Test("cuts an error's text at 1024 bytes, never inside a character")
    func cutsErrors() throws {
        let exact = String(repeating: "a", count: 1024)
        #expect(try Frame(Frame.error(exact).bytes) == .error(exact))
        #expect(try Frame(Frame.error(exact + "b").bytes) == .error(exact))
        // é has two bytes, € three, 😀 four: each begins one byte before the limit.
        for character in ["é", "€", "😀"] {
            let text = String(repeating: "a", count: 1023) + character + "tail"
            #expect(try Frame(Frame.error(text).bytes) == .error(String(repeating: "a", count: 1023)))
        }
        let fits = String(repeating: "a", count: 1022) + "é"
        #expect(try Frame(Frame.error(fits + "é").bytes) == .error(fits))
    }
}
