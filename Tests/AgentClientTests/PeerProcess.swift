import Foundation
import Testing

/// Another process that connects to a socket as soon as it exists, says something, and ends when the connection is closed.
struct PeerProcess: Sendable {
    private static let script = """
        use IO::Socket::UNIX; $| = 1;
        my $s; until ($s = IO::Socket::UNIX->new(Peer => $ARGV[0])) { select undef, undef, undef, 0.005 }
        $SIG{PIPE} = 'IGNORE'; syswrite $s, pack 'H*', $ARGV[1];
        1 while sysread $s, my $b, 4096;
        """

    private let process: ChildProcess
    var pid: Int32 { process.pid }

    /// Perl is in every Debian.
    init(path: String, says bytes: [UInt8]) throws {
        let hex = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        process = try ChildProcess(["/usr/bin/perl", "-e", Self.script, path, hex])
    }

    /// Returns once it has ended, because the server closed the connection.
    func waitForClose() async {
        await eventually("the server closes the connection") { process.exitStatus() != nil }
    }
}
