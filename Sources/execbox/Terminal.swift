import ExecboxAPI
import Synchronization

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

/// The terminal we run on.
enum Terminal {
    /// What it was before we made it raw.
    private static let saved = Mutex<termios?>(nil)

    /// Input and output are one, so a remote terminal makes sense.
    static var isInteractive: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 }

    static var size: TerminalSize {
        var window = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &window) == 0, window.ws_col > 0, window.ws_row > 0 else { return TerminalSize() }
        return TerminalSize(columns: window.ws_col, rows: window.ws_row)
    }

    /// Every byte goes to the remote side, ^C too. Undone by `restoreAll`, which also runs at `exit`.
    static func makeRaw() {
        var attributes = termios()
        guard tcgetattr(STDIN_FILENO, &attributes) == 0 else { return }
        let isFirst = saved.withLock { saved in
            defer { if saved == nil { saved = attributes } }
            return saved == nil
        }
        if isFirst { atexit { Terminal.restoreAll() } }
        cfmakeraw(&attributes)
        tcsetattr(STDIN_FILENO, TCSANOW, &attributes)
    }

    static func restoreAll() {
        let attributes = saved.withLock { saved in
            defer { saved = nil }
            return saved
        }
        guard var attributes else { return }
        tcsetattr(STDIN_FILENO, TCSADRAIN, &attributes)
    }
}
