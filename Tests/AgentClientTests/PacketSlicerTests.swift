import ExecboxTestRandom
import ExecboxWire
import NIOCore
import Testing

@testable import ExecboxAgentClient

@Suite struct PacketSlicerTests {
    private static func cut(_ slicer: inout PacketSlicer) throws(AgentLinkError) -> [[UInt8]] {
        var packets: [[UInt8]] = []
        while let packet = try slicer.next(limit: { _ in 100_000 }) { packets.append(Array(packet.packet.readableBytesView)) }
        return packets
    }

    @Test("packets are the same however the reads cut them", arguments: UInt64(1)...40)
    func packetsSameHoweverReadsCutThem(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let frames = (0..<50).map { _ in
            Frame.stdout(generator.bytes(Int.random(in: 0..<(seed.isMultiple(of: 2) ? 10 : 3000), using: &generator))).bytes
        }
        var rest = Array(frames.joined())[...]
        var slicer = PacketSlicer()
        var packets: [[UInt8]] = []
        while !rest.isEmpty {
            let count = Int.random(in: 0...(seed.isMultiple(of: 3) ? 3 : 5000), using: &generator)
            slicer.append(ByteBuffer(bytes: rest.prefix(count)))
            rest = rest.dropFirst(count)
            // Sometimes several reads wait uncut.
            if Bool.random(using: &generator) { packets += try Self.cut(&slicer) }
        }
        packets += try Self.cut(&slicer)
        #expect(packets == frames)
        #expect(slicer.isDrained)
    }

    @Test("a packet within one read is not copied") func packetWithinOneReadNotCopied() throws {
        let read = ByteBuffer(bytes: Frame.stdout(Array(repeating: 1, count: 5000)).bytes + Frame.stderr([2]).bytes)
        var slicer = PacketSlicer()
        slicer.append(read)
        let first = try #require(try slicer.next(limit: { _ in 10_000 }))
        let second = try #require(try slicer.next(limit: { _ in 10_000 }))
        let start = read.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        #expect(first.packet.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) } == start)
        #expect(second.packet.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) } == start + 5005)
    }

    @Test("a type is refused with its first byte, a length with its last") func typeRefusedWithFirstByteLengthWith() throws {
        var slicer = PacketSlicer()
        slicer.append(ByteBuffer(bytes: [0x77]))
        #expect(throws: AgentLinkError.closed) {
            try slicer.next { type throws(AgentLinkError) in
                #expect(type == 0x77)
                throw .closed
            }
        }

        slicer = PacketSlicer()
        for byte: UInt8 in [0x02, 0, 0, 1] {
            slicer.append(ByteBuffer(bytes: [byte]))
            #expect(try slicer.next(limit: { _ in 256 })?.type == nil)
        }
        slicer.append(ByteBuffer(bytes: [1]))
        #expect(throws: AgentLinkError.self) { try slicer.next { _ in 256 } }
    }

    @Test("an announced length takes no memory before its bytes come") func announcedLengthTakesNoMemoryBeforeBytes() throws {
        var slicer = PacketSlicer()
        slicer.append(ByteBuffer(bytes: [0x02, 0xFF, 0xFF, 0xFF, 0xFF]))
        #expect(try slicer.next(limit: { _ in .max })?.type == nil)
        for _ in 0..<100 {
            slicer.append(ByteBuffer(bytes: [1]))
            #expect(try slicer.next(limit: { _ in .max })?.type == nil)
        }
    }
}
