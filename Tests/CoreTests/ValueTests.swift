import ExecboxCore
import ExecboxModel
import ExecboxTestRandom
import ExecboxWire
import Testing

@Suite struct HeadAndTailTests {
    @Test func whatFitsIsKeptWhole() {
        var output = HeadAndTail(limit: 10)
        output.append(Array("hello".utf8))
        output.append(Array("world".utf8))
        #expect(output.bytes == Array("helloworld".utf8))
        #expect(!output.isTruncated)
        #expect(output.total == 10)
    }

    @Test func whatDoesNotFitKeepsHeadAndTailAndSaysSo() {
        var output = HeadAndTail(limit: 4)
        for byte in "abcdefghij".utf8 { output.append([byte]) }
        #expect(output.isTruncated)
        #expect(output.total == 10)
        #expect(String(decoding: output.bytes, as: UTF8.self) == "ab\n[6 bytes left out]\nij")
    }

    @Test func theKeptBytesAreTheFirstAndLastForAnyCut() {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<500 {
            let whole = (0..<Int.random(in: 0...200, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let limit = Int.random(in: 0...150, using: &generator)
            var output = HeadAndTail(limit: limit)
            var rest = whole[...]
            while !rest.isEmpty {
                let count = Int.random(in: 1...rest.count, using: &generator)
                output.append(rest.prefix(count))
                rest = rest.dropFirst(count)
            }
            #expect(output.isTruncated == (whole.count > limit))
            if !output.isTruncated { #expect(output.bytes == whole) }
            #expect(output.bytes.starts(with: whole.prefix(min(limit - limit / 2, whole.count))))
            #expect(output.bytes.suffix(limit / 2) == whole.suffix(limit / 2) || whole.count <= limit)
        }
    }
}

@Suite struct OutputChunkTests {
    private func chunk(_ frames: [Frame], start: Int64) -> OutputChunk {
        var bytes: [UInt8] = []
        var count = 0
        for frame in frames {
            bytes += frame.bytes
            count += frame.bytes.count - 5
        }
        return OutputChunk(start: start, payloadBytes: count, frames: bytes)
    }

    @Test func anOffsetInsideAFrameCutsIt() {
        let chunk = chunk([.stdout(Array("abc".utf8)), .stderr(Array("defg".utf8))], start: 100)
        let pieces = chunk.pieces(from: 104)
        #expect(pieces.count == 1)
        #expect(pieces[0].isStderr)
        #expect(pieces[0].offset == 104)
        #expect(Array(pieces[0].payload) == Array("efg".utf8))
    }

    @Test func everyOffsetGivesTheRestOfTheBytes() {
        let whole = Array("abcdefghijklmnop".utf8)
        let chunk = chunk([.stdout(Array(whole[0..<5])), .stdout([]), .stderr(Array(whole[5..<6])), .stdout(Array(whole[6...]))], start: 7)
        for offset in 0...30 {
            let rest = chunk.pieces(from: Int64(offset)).flatMap(\.payload)
            #expect(rest == Array(whole.dropFirst(max(0, offset - 7))))
        }
    }

    @Test func bytesThatAreNoFramesEndTheList() {
        let chunk = OutputChunk(start: 0, payloadBytes: 10, frames: [0x02, 0, 0, 0, 9, 1])
        #expect(chunk.pieces(from: 0).isEmpty)
    }
}

@Suite struct APIKeyTests {
    @Test func aNewKeyReadsBackAndMatchesItsHash() throws {
        let key = APIKey.make()
        let read = try #require(APIKey(key.text))
        #expect(read.matches(hash: key.secretHash))
        #expect(key.text.utf8.count == 3 + 12 + 1 + 43)
    }

    @Test func anotherKeysHashDoesNotMatch() {
        #expect(!APIKey.make().matches(hash: APIKey.make().secretHash))
        #expect(!APIKey.make().matches(hash: []))
    }

    @Test(arguments: ["", "eb_", "eb_abc_def", "xx_" + String(repeating: "a", count: 12) + "_" + String(repeating: "b", count: 43)])
    func whatHasNotAKeysFormIsNone(_ text: String) {
        #expect(APIKey(text) == nil)
    }
}

@Suite struct ClaimantTests {
    @Test func theTextReadsBack() throws {
        let claimant = Claimant.current(node: "host/with/slashes", token: "abcd")
        #expect(Claimant(claimant.description) == claimant)
    }

    @Test func aLivingProcessIsNotDeadAndAnotherStartTimeIs() {
        let own = Claimant.current(node: "here", token: "t")
        #expect(!own.isDead(seenFrom: "here"))
        let earlier = Claimant(node: "here", pid: own.pid, startTime: own.startTime + 1, token: "t")
        #expect(earlier.isDead(seenFrom: "here"))
    }

    @Test func nothingIsKnownOfAnotherHostsProcesses() {
        let other = Claimant(node: "there", pid: 1, startTime: 1, token: "t")
        #expect(!other.isDead(seenFrom: "here"))
    }
}

@Suite struct EnvironmentSealTests {
    private let session = SessionID.make(unixMilliseconds: 1)

    @Test func aSealedEnvironmentOpensForItsSessionOnly() throws {
        let seal = try EnvironmentSeal(secret: Array(repeating: 7, count: 32))
        let sealed = try seal.seal(["A=1", "B=ü"], for: session)
        #expect(try seal.open(sealed, for: session) == ["A=1", "B=ü"])
        #expect(throws: (any Error).self) { try seal.open(sealed, for: .make(unixMilliseconds: 2)) }
    }

    @Test func anotherKeyOpensNothing() throws {
        let sealed = try EnvironmentSeal(secret: Array(repeating: 7, count: 32)).seal(["A=1"], for: session)
        let other = try EnvironmentSeal(secret: Array(repeating: 8, count: 32))
        #expect(throws: (any Error).self) { try other.open(sealed, for: session) }
    }

    @Test func aShortKeyIsRefused() {
        #expect(throws: ExecboxError.self) { try EnvironmentSeal(secret: [1, 2, 3]) }
    }
}
