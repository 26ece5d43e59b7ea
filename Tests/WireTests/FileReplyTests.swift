import ExecboxTestRandom
import ExecboxWire
import Testing

/// What the server and a file operation's process say to each other.
@Suite struct FileReplyTests {
    private static let status = FileStatus(
        kind: .symbolicLink, size: .max, mode: 0o7777, modifiedMicroseconds: -1, inode: 7, target: [0xFF, 0x2F])

    private static let replies: [FileReply] = [
        .status(status), .content(status, start: 1, count: .max), .entries([]), .entries([FileEntry(name: [0xFF, 0x0A], status: status)]),
        .done, .done(size: 5, sha256: Array(repeating: 1, count: 32)), .failed(FileFailure(.noSpace, "no space, é")),
    ]

    @Test(arguments: replies)
    func aReplyIsReadAsItWasWritten(reply: FileReply) throws {
        let parsed = try FileReply.parse(reply.bytes + [1, 2, 3])
        #expect(parsed?.reply == reply)
        #expect(parsed?.length == reply.bytes.count)
    }

    @Test(arguments: replies)
    func aReplyThatIsNotCompleteIsWaitedFor(reply: FileReply) throws {
        for count in 0..<reply.bytes.count { #expect(try FileReply.parse(reply.bytes.prefix(count)) == nil) }
    }

    @Test func nothingASandboxSendsCanDoMoreThanBeRefused() {
        var random = SeededGenerator(seed: 4)
        for _ in 0..<5000 {
            var bytes = Self.replies[Int.random(in: 0..<Self.replies.count, using: &random)].bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: .min ... .max, using: &random)
            }
            if let parsed = try? FileReply.parse(bytes) { #expect(parsed.length <= bytes.count) }
        }
    }

    @Test(arguments: [
        FileOperation.status(path: [0x2F, 0xFF]), .list(path: [0x2F]), .read(path: [0x2F, 0x0A], first: nil, last: nil),
        .read(path: [0x2F], first: 0, last: .max), .write(path: [0x2F, 0x20], mode: 0o7777), .write(path: [0x2F], mode: nil),
        .makeDirectory(path: [0x2F, 0x2D]), .move(from: [0x2F, 1], to: [0x2F, 2]), .remove(path: [0x2F], isRecursive: true),
        .remove(path: [0x2F], isRecursive: false),
    ])
    func anOperationIsReadAsItWasWritten(operation: FileOperation) {
        #expect(FileOperation(arguments: operation.arguments) == operation)
    }

    @Test(arguments: [
        [], ["files"], ["files", "status"], ["files", "status", ""], ["files", "status", "2"], ["files", "status", "zz"],
        ["files", "status", "2f", "2f"], ["files", "read", "2f", "x", "-"], ["files", "write", "2f", "8"],
        ["files", "write", "2f", "10000"],
        ["files", "remove", "2f", "all"], ["files", "chmod", "2f"],
    ])
    func whatIsNoOperationIsNotGuessed(arguments: [String]) {
        #expect(FileOperation(arguments: arguments) == nil)
    }
}
