import ExecboxModel
import ExecboxTestRandom
import Testing

/// Ids as texts (https://github.com/ulid/spec).
@Suite struct ULIDTests {
    @Test func textAndIDAreTheSameBothWays() {
        var random = SeededGenerator(seed: 1)
        for _ in 0..<1000 {
            let id = ULID(unixMilliseconds: random.next(), random: &random)
            #expect(id.text.utf8.count == ULID.length)
            #expect(ULID(id.text[...]) == id)
        }
    }

    @Test func laterIDsSortBehindEarlierOnes() {
        var random = SeededGenerator(seed: 2)
        let texts = (0..<48).map { ULID(unixMilliseconds: 1 << $0, random: &random).text }
        #expect(zip(texts, texts.dropFirst()).allSatisfy { $0 < $1 })
    }

    @Test func theTimeIsTheFirstTenCharacters() {
        var random = SeededGenerator(seed: 3)
        #expect(ULID(unixMilliseconds: 1_469_918_176_385, random: &random).text.hasPrefix("01aryz6s41"))
        #expect(ULID(unixMilliseconds: 0, random: &random).text.hasPrefix("0000000000"))
        #expect(ULID(unixMilliseconds: 0xFFFF_FFFF_FFFF, random: &random).text.hasPrefix("7zzzzzzzzz"))
    }

    @Test(arguments: [
        "", "0", "00000000000000000000000000 ", "8zzzzzzzzzzzzzzzzzzzzzzzzz", "0000000000000000000000000I", "0000000000000000000000000A",
        "0000000000000000000000000u", "000000000000000000000000é", "sess_000000000000000000000",
    ])
    func whatIsNoCanonicalTextIsNoID(text: String) {
        #expect(ULID(text[...]) == nil)
        #expect(SessionID(text) == nil && SessionID("sess_" + text) == nil)
    }

    @Test func theGreatestIDIsTaken() {
        #expect(SessionID("sess_7zzzzzzzzzzzzzzzzzzzzzzzzz")?.description == "sess_7zzzzzzzzzzzzzzzzzzzzzzzzz")
    }
}
