import ExecboxWire
import NIOCore

/// A Stdout or Stderr frame as it came from the agent, ready to be passed on.
package struct OutputPacket: Equatable, Sendable {
    package enum Stream: Sendable {
        case stdout
        case stderr
    }

    package let stream: Stream
    /// The whole frame with its header: a slice of what was read from the socket, not a copy.
    package let packet: ByteBuffer

    /// How far this frame moves the stream's offset.
    package var payloadLength: Int { packet.readableBytes - PacketHeader.maxLength }

    /// The bytes behind the header: a slice as well.
    package var payload: ByteBuffer {
        packet.getSlice(at: packet.readerIndex + PacketHeader.maxLength, length: payloadLength) ?? ByteBuffer()
    }
}
