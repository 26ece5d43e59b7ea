import ExecboxTestRandom
import ExecboxWire
import Testing

@Suite("Decoders given a million inputs that were changed at random")
struct MutationTests {
    private static let count = 1_000_000

    @Test("never trap, and what they accept is the same when it is sent again")
    func mutated() throws {
        var random = SeededGenerator(seed: 2026)
        let samples =
            AgentMessageTests.all.map(\.bytes)
            + [
                Frame.stdin([1, 2, 3]), .stdout([]), .stderr([0xFF]), .exit(-1), .error("aé"), .stdinClose, .resize(columns: 1, rows: 2),
                .signal("SIGINT"), .gap(9), .credit(1),
            ].map(\.bytes)
        var accepted = 0
        var refused = 0
        var bytes: [UInt8] = []
        for round in 0..<Self.count {
            bytes = samples[Int(truncatingIfNeeded: random.next() >> 33) % samples.count]
            mutate(&bytes, &random)
            guard let type = bytes.first else { continue }
            if FrameType(rawValue: type) != nil {
                if let frame = try? Frame(bytes) {
                    accepted += 1
                    // Error and Signal frames are shown, not sent on: bytes that are no UTF-8 are repaired in them.
                    if round % 64 == 0, frame.type != .error, frame.type != .signal { #expect(frame.bytes == bytes) }
                } else {
                    refused += 1
                }
            } else if let message = try? AgentMessage(type: type, payload: bytes.dropFirst(5)) {
                accepted += 1
                if round % 64 == 0 { #expect(Array(message.bytes.dropFirst(5)) == Array(bytes.dropFirst(5))) }
            } else {
                refused += 1
            }
        }
        #expect(accepted > Self.count / 100)
        #expect(refused > Self.count / 10)
    }

    @Test("also as a stream that is cut anywhere")
    func streams() {
        var random = SeededGenerator(seed: 62)
        let samples = AgentMessageTests.all.map(\.bytes)
        for _ in 0..<20_000 {
            var bytes = samples[Int(truncatingIfNeeded: random.next() >> 33) % samples.count]
            mutate(&bytes, &random)
            var decoder = PacketDecoder(maxPayloadLength: 4096)
            let cut = bytes.isEmpty ? 0 : Int(truncatingIfNeeded: random.next() >> 33) % bytes.count
            decoder.append(bytes[..<cut])
            do {
                while let packet = try decoder.next() { _ = try AgentMessage(type: packet.type, payload: packet.payload) }
                decoder.append(bytes[cut...])
                while let packet = try decoder.next() { _ = try AgentMessage(type: packet.type, payload: packet.payload) }
            } catch {
                // Refusing is right, trapping is not.
            }
        }
    }

    /// One to four changes: a bit, a byte, a cut, a piece more, a length field.
    private func mutate(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
        let dice = random.next()
        for step in 0...Int(dice & 3) {
            let choice = random.next()
            guard !bytes.isEmpty else { return }
            let place = Int(truncatingIfNeeded: choice >> 40) % bytes.count
            let value = UInt8(truncatingIfNeeded: choice >> 8)
            switch (choice ^ UInt64(step)) & 7 {
            case 0, 1: bytes[place] ^= 1 << (value & 7)
            case 2, 3: bytes[place] = value
            case 4: bytes.removeSubrange(place...)
            case 5: bytes.append(value)
            case 6: bytes[place] = value & 1 == 0 ? 0xFF : 0
            default: if bytes.count > 5 { bytes[1 + Int(value & 3)] = UInt8(truncatingIfNeeded: choice >> 16) }
            }
        }
    }
}
