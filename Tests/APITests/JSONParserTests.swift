import ExecboxAPI
import ExecboxModel
import ExecboxTestRandom
import Testing

@Suite("The JSON parser") struct JSONParserTests {
    @Test("reads every kind of value exactly")
    func readsValues() throws {
        let value = try JSONParser.parse(
            #" {"a":[null,true,false,0,-1,9223372036854775807,9223372036854775808,1.5,1e3],"b":"\"\\\/\b\f\n\r\té😀€"} "#.utf8)
        #expect(
            value
                == .object([
                    "a": .array([
                        .null, .bool(true), .bool(false), .integer(0), .integer(-1), .integer(.max), .number("9223372036854775808"),
                        .number("1.5"), .number("1e3"),
                    ]),
                    "b": .string("\"\\/\u{8}\u{c}\n\r\té😀€"),
                ]))
        #expect(try JSONParser.parse(#""\u0041\ud83d\ude00\u0000""#.utf8) == .string("A😀\0"))
    }

    @Test(
        "refuses what is no JSON",
        arguments: [
            "", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"", "{\"a\":", "{\"a\":1,}", "{a:1}", "01", "-", "1.", "1e", "1e+", ".5", "+1",
            "tru",
            "nul", "\"", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"a\nb\"", "1 2", "{} {}",
            "'a'",
            "[1 2]", "NaN", "\u{FEFF}{}", "\"\\ud83d\\ude\"", "/**/1",
        ])
    func refuses(_ text: String) {
        #expect(throws: ExecboxError.self) { try JSONParser.parse(text.utf8) }
    }

    @Test("refuses invalid UTF-8, with and without escapes around it")
    func refusesInvalidUTF8() {
        for bytes: [UInt8] in [[0x22, 0xFF, 0x22], [0x22, 0x5C, 0x6E, 0xC3, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0xFF]] {
            #expect(throws: ExecboxError.self) { try JSONParser.parse(bytes) }
        }
    }

    @Test("names the path of a duplicate")
    func namesDuplicates() {
        let error = #expect(throws: ExecboxError.self) { try JSONParser.parse(#"{"a":[{},{"b":{"c":1,"c":2}}]}"#.utf8) }
        #expect(error?.details["field"] == .text("a[1].b.c"))
        #expect(error?.message == "a[1].b.c is given twice")
    }

    @Test("takes 64 levels and no more, and a bounded number of values")
    func boundsDepthAndCount() throws {
        func nested(_ depth: Int) -> String { String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        _ = try JSONParser.parse(nested(64).utf8)
        #expect(throws: ExecboxError.self) { try JSONParser.parse(nested(65).utf8) }
        #expect(throws: ExecboxError.self) { try JSONParser.parse(String(repeating: "[", count: 1_000_000).utf8) }
        let many = "[" + String(repeating: "0,", count: JSONParser.maxValues) + "0]"
        #expect(throws: ExecboxError.self) { try JSONParser.parse(many.utf8) }
    }

    @Test("never traps on mutated input, and what it accepts reads the same again")
    func survivesMutations() throws {
        let seeds = [
            #"{"image":"python:3.12","command":["a","b\n"],"env":{"A":"é"},"resources":{"cpuMillis":1000},"tty":{"cols":80,"rows":24}}"#,
            #"[1,-2.5e+7,true,null,{"a":{"b":[]}},"😀 \u00e9 \\ \" "]"#,
        ].map { Array($0.utf8) }
        var generator = SeededGenerator(seed: 42)
        let interesting = Array("{}[]\",:\\u0123456789eE+-.tfn \u{0}".utf8) + [0x80, 0xC3, 0xED, 0xF4, 0xFF]
        var accepted = 0
        for round in 0..<200_000 {
            var bytes = seeds[round % seeds.count]
            for _ in 0...Int.random(in: 0...4, using: &generator) {
                let index = Int.random(in: 0..<max(bytes.count, 1), using: &generator)
                switch Int.random(in: 0...3, using: &generator) {
                case 0 where !bytes.isEmpty: bytes.remove(at: index)
                case 1 where !bytes.isEmpty: bytes.removeSubrange(index...)
                default: bytes.insert(interesting.randomElement(using: &generator) ?? 0, at: min(index, bytes.count))
                }
            }
            guard let value = try? JSONParser.parse(bytes) else { continue }
            accepted += 1
            #expect(try JSONParser.parse(bytes) == value)
            _ = try? CreateSessionBody(json: bytes)
            _ = try? ExecBody(json: bytes)
        }
        #expect(accepted > 1000)
    }
}
