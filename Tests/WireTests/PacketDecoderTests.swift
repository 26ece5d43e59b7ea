import ExecboxWire
import Testing

@Suite("A packet decoder")
struct PacketDecoderTests {
    private static let stream: [[UInt8]] = [
        Frame.stdout(Array("hello".utf8)).bytes, Frame.stdinClose.bytes, Frame.exit(-1).bytes, Frame.stderr([]).bytes,
        AgentMessage.attached(first: 0, end: 7).bytes, Frame.gap(3).bytes, Frame.stdinClose.bytes, AgentMessage.list.bytes,
        Frame.exit(1).bytes,
    ]

    private func packets(_ pieces: [ArraySlice<UInt8>]) throws -> [[UInt8]] {
        var decoder = PacketDecoder()
        var result: [[UInt8]] = []
        for piece in pieces {
            decoder.append(piece)
            while let packet = try decoder.next() {
                result.append(PacketHeader(type: packet.type, payloadLength: packet.payload.count).bytes + packet.payload)
            }
        }
        #expect(decoder.bufferedByteCount == 0)
        return result
    }

    @Test("gives the same packets wherever the stream is cut in two or three")
    func cuts() throws {
        let bytes = Self.stream.flatMap(\.self)
        for first in 0...bytes.count {
            #expect(try packets([bytes[..<first], bytes[first...]]) == Self.stream)
            for second in stride(from: first, through: bytes.count, by: 7) {
                #expect(try packets([bytes[..<first], bytes[first..<second], bytes[second...]]) == Self.stream)
            }
        }
    }

    @Test("gives the same packets byte by byte")
    func byteByByte() throws {
        let bytes = Self.stream.flatMap(\.self)
        #expect(try packets(bytes.indices.map { bytes[$0...$0] }) == Self.stream)
    }

    @Test("refuses an unknown type at its first byte and a length as soon as it is there")
    func refusesEarly() throws {
        var decoder = PacketDecoder()
        decoder.append([0x1F])
        #expect(throws: WireError.unknownType(0x1F)) { try decoder.next() }
        decoder = PacketDecoder(maxPayloadLength: 100)
        decoder.append([0x02, 0, 0, 0, 101])
        #expect(throws: WireError.tooLong(length: 101, limit: 100)) { try decoder.next() }
        decoder = PacketDecoder()
        decoder.append([0x02, 1, 0, 0])
        #expect(try decoder.next() == nil)
        decoder.append([0])
        #expect(throws: WireError.tooLong(length: 1 << 24, limit: (1 << 24) - 1)) { try decoder.next() }
    }

    @Test("may change what it takes from one packet to the next")
    func changesLimit() throws {
        var decoder = PacketDecoder(maxPayloadLength: 4)
        decoder.append(Frame.stdout([1, 2, 3, 4]).bytes + Frame.stdout([1, 2, 3, 4, 5]).bytes)
        #expect(try decoder.next()?.payload == [1, 2, 3, 4])
        decoder.maxPayloadLength = 5
        #expect(try decoder.next()?.payload == [1, 2, 3, 4, 5])
    }

    @Test("holds no more than one packet of what has been handed out")
    func forgets() throws {
        var decoder = PacketDecoder()
        let packet = Frame.stdout([UInt8](repeating: 1, count: 1000)).bytes
        for _ in 0..<2000 {
            decoder.append(packet)
            #expect(try decoder.next() != nil)
            #expect(decoder.bufferedByteCount == 0)
        }
    }
}
