import CAgent
import ExecboxWire

#if canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// From the ring to the socket, without a copy.
extension Connection {
    private static let maxFrames = 16
    private static let maxWriteBytes = 512 * 1024
    private static let maxLosslessFrame = 256 * 1024
    /// A frame that is overtaken while its socket is full has to be set aside. So readers that can be overtaken get shorter ones, and only
    /// what their socket will surely take, or this.
    private static let leastOtherFrame = 4 * 1024
    private static let maxOtherFrame = 64 * 1024
    private static let headerLength = 5

    /// Sends until there is nothing to send, or the socket takes no more.
    func pump() {
        withExtendedLifetime(self) {
            while state != .closed, !isBlocked, !isBroken {
                prepare()
                guard writeOnce() else { break }
            }
            guard state != .closed, !isBlocked else { return }
            updateInterest()
            flushed()
        }
    }

    /// Sets aside what the ring is about to drop of a frame that was begun.
    func rescueFrame(from output: borrowing OutputBuffer) {
        guard frameLeft > 0 else { return }
        guard agent.mayRescue(frameLeft) else {
            // Half a frame cannot be taken back, and its other half is about to be overwritten.
            isBroken = true
            return agent.afterThisEvent { [self] in close() }
        }
        let (first, second) = output.pieces(from: position, count: frameLeft)
        if outboxSent == outbox.count {
            outbox = []
            outboxSent = 0
        }
        outbox.append(contentsOf: first)
        outbox.append(contentsOf: second)
        position += UInt64(frameLeft)
        frameLeft = 0
    }

    /// At the border between two frames: control messages, the gap, the end.
    private func prepare() {
        guard frameLeft == 0 else { return }
        if outboxSent == outbox.count {
            outbox = control
            outboxSent = 0
        } else if !control.isEmpty {
            outbox += control
        }
        control = []
        guard let process, state == .streaming, outbox.isEmpty else { return }
        if position < process.output.start {
            outbox = Frame.gap(process.output.start - position).bytes
            position = process.output.start
        } else if position == process.output.end, case .ended(let report) = process.state, !isExitSent {
            isExitSent = true
            outbox = AgentMessage.exited(report).bytes
        }
    }

    /// How far frames may go now.
    private func sendLimit(_ process: ChildProcess) -> UInt64 {
        let end = process.output.end
        guard flow == .recorder, position >= process.output.headBytes, case .running = process.state else { return end }
        if position < burstEnd { return burstEnd }
        guard position < end, burstTimer == nil else { return position }
        burstEnd = end
        burstTimer = agent.after(milliseconds: UInt64(agent.configuration.recorderMilliseconds)) { [unowned self] in
            burstTimer = nil
            pump()
        }
        return end
    }

    /// One call's worth.
    ///
    /// - Returns: false if there was nothing to send or the socket is full or broken.
    private func writeOnce() -> Bool {
        let sent = withUnsafeTemporaryAllocation(of: iovec.self, capacity: 3 + 3 * Self.maxFrames) { vectors in
            withUnsafeTemporaryAllocation(byteCount: Self.headerLength * Self.maxFrames, alignment: 1) { headers in
                outbox.withUnsafeBytes { outbox in
                    var plan = Plan(vectors: vectors, headers: headers)
                    let outboxLeft = outbox.count - outboxSent
                    plan.add(UnsafeRawBufferPointer(rebasing: outbox[outboxSent...]))
                    if let process { planFrames(of: process, &plan) }
                    guard plan.byteCount > 0 else { return 0 }
                    let sent = plan.send(to: descriptor)
                    if sent > 0 { account(sent, outboxLeft, plan) }
                    return sent
                }
            }
        }
        guard sent > 0 else {
            guard sent < 0, errno != EINTR else { return false }
            if errno == EAGAIN || errno == ENOBUFS {
                isBlocked = true
                updateInterest()
            } else {
                close()
            }
            return false
        }
        if let header = unsentHeader {
            outbox = header
            outboxSent = 0
            unsentHeader = nil
        } else if outboxSent == outbox.count, !outbox.isEmpty {
            outbox = []
            outboxSent = 0
        }
        return true
    }

    private func planFrames(of process: ChildProcess, _ plan: inout Plan) {
        var cursor = position
        if frameLeft > 0 {
            plan.addPayload(process.output.pieces(from: cursor, count: frameLeft), count: frameLeft)
            cursor += UInt64(frameLeft)
        }
        // Control messages come first as soon as they can.
        guard control.isEmpty, state == .streaming, cursor >= process.output.start else { return }
        let limit = sendLimit(process)
        let waits = flow == .lossless && !process.isKillRequested
        let maxFrame = waits ? Self.maxLosslessFrame : Self.maxOtherFrame
        let maxBytes = waits ? Self.maxWriteBytes : max(Self.leastOtherFrame, plan.byteCount, socketRoom)
        while cursor < limit, !plan.isFull(Self.maxFrames), plan.byteCount < maxBytes, let run = process.output.run(at: cursor) {
            let count = Int(min(run.end - cursor, limit - cursor, UInt64(min(maxFrame, maxBytes - plan.byteCount))))
            plan.addHeader(type: run.stream.rawValue, length: count)
            plan.addPayload(process.output.pieces(from: cursor, count: count), count: count)
            cursor += UInt64(count)
        }
    }

    /// What the socket takes at least: half of what is free, since small pieces cost the kernel more than their bytes.
    private var socketRoom: Int {
        max(0, execbox_send_buffer(descriptor) - execbox_unsent_bytes(descriptor)) / 2
    }

    /// Finds out where in the plan the socket stopped.
    private func account(_ sent: Int, _ outboxLeft: Int, _ plan: borrowing Plan) {
        var left = sent
        let fromOutbox = min(left, outboxLeft)
        outboxSent += fromOutbox
        left -= fromOutbox
        if frameLeft > 0 {
            let count = min(left, frameLeft)
            frameLeft -= count
            position += UInt64(count)
            left -= count
        }
        for index in 0..<plan.frameCount where left > 0 {
            let headerSent = min(left, Self.headerLength)
            left -= headerSent
            let length = plan.frameLength(index)
            if headerSent < Self.headerLength {
                unsentHeader = plan.header(index, from: headerSent)
                frameLeft = length
                return
            }
            let count = min(left, length)
            position += UInt64(count)
            frameLeft = length - count
            left -= count
        }
    }

    /// What one writev will send.
    private struct Plan {
        private let vectors: UnsafeMutableBufferPointer<iovec>
        private let headers: UnsafeMutableRawBufferPointer
        private(set) var vectorCount = 0
        private(set) var frameCount = 0
        private(set) var byteCount = 0

        init(vectors: UnsafeMutableBufferPointer<iovec>, headers: UnsafeMutableRawBufferPointer) {
            self.vectors = vectors
            self.headers = headers
        }

        func isFull(_ maxFrames: Int) -> Bool { frameCount == maxFrames || vectorCount + 3 > vectors.count }

        mutating func add(_ bytes: UnsafeRawBufferPointer) {
            guard !bytes.isEmpty else { return }
            vectors.initializeElement(
                at: vectorCount, to: iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count))
            vectorCount += 1
            byteCount += bytes.count
        }

        mutating func addPayload(_ pieces: (UnsafeRawBufferPointer, UnsafeRawBufferPointer), count: Int) {
            add(pieces.0)
            add(pieces.1)
        }

        mutating func addHeader(type: UInt8, length: Int) {
            let place = frameCount * Connection.headerLength
            headers[place] = type
            for index in 0..<4 { headers[place + 1 + index] = UInt8(truncatingIfNeeded: length >> (24 - 8 * index)) }
            add(UnsafeRawBufferPointer(rebasing: headers[place..<(place + Connection.headerLength)]))
            frameCount += 1
        }

        func frameLength(_ index: Int) -> Int {
            headers[(index * Connection.headerLength + 1)..<((index + 1) * Connection.headerLength)].reduce(0) { $0 << 8 | Int($1) }
        }

        func header(_ index: Int, from offset: Int) -> [UInt8] {
            Array(headers[(index * Connection.headerLength + offset)..<((index + 1) * Connection.headerLength)])
        }

        func send(to descriptor: Int32) -> Int {
            // writev has no flags; SIGPIPE is blocked and ignored in the whole agent.
            writev(descriptor, vectors.baseAddress, Int32(vectorCount))
        }
    }
}
