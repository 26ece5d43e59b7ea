import CCurl
import Glibc
import Synchronization

/// libcurl's multi handle on a thread of its own. All of libcurl is called there; others leave commands and wake it.
final class CurlLoop: Sendable {
    enum Command: Sendable {
        case add(CurlTransfer)
        case unpause(CurlTransfer)
        /// The transfer has ended for its caller; let go of its connection.
        case remove(CurlTransfer)
    }

    private struct State {
        var commands: [Command] = []
        var isStopping = false
        /// False once the multi handle is gone: nobody may wake it any more.
        var isOpen = true
    }

    private let state = Mutex(State())
    // Made before the thread starts and freed by it after `isOpen` turned false; others only pass it to curl_multi_wakeup, which libcurl
    // documents as callable from any thread.
    private nonisolated(unsafe) let multi: UnsafeMutableRawPointer?

    private static let globalInitialisation: CURLcode = curl_global_init(execbox_curl_global_all())

    init() {
        _ = Self.globalInitialisation
        multi = curl_multi_init()
        guard let multi else {
            state.withLock { $0.isOpen = false }
            return
        }
        _ = execbox_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, 32)
        if !startThread() {
            state.withLock { $0.isOpen = false }
            curl_multi_cleanup(multi)
        }
    }

    private func startThread() -> Bool {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self)
        let code = pthread_create(
            &thread, nil,
            { context in
                if let context { Unmanaged<CurlLoop>.fromOpaque(context).takeRetainedValue().run() }
                return nil
            }, context.toOpaque())
        guard code == 0 else {
            context.release()
            return false
        }
        pthread_detach(thread)
        return true
    }

    /// After `stop` every command is refused; transfers that are added then end with `.closed`.
    func enqueue(_ command: Command) {
        let isTaken = state.withLock { state in
            guard state.isOpen, !state.isStopping else { return false }
            state.commands.append(command)
            wake()
            return true
        }
        if !isTaken, case .add(let transfer) = command { transfer.finish(.failure(CurlError(.closed))) }
    }

    /// Ends every transfer and the thread. Does not wait.
    func stop() {
        state.withLock { state in
            guard state.isOpen else { return }
            state.isStopping = true
            wake()
        }
    }

    /// Under the lock only, so that the handle cannot be freed meanwhile.
    private func wake() { curl_multi_wakeup(multi) }

    // MARK: On the thread

    private func run() {
        guard let multi else { return }
        // libcurl is told not to touch signals (CURLOPT_NOSIGNAL); a TLS library's write to a closed socket must not end the process.
        var signals = sigset_t()
        sigfillset(&signals)
        pthread_sigmask(SIG_BLOCK, &signals, nil)

        var active: [UnsafeMutableRawPointer: CurlExchange] = [:]
        var handles: [ObjectIdentifier: UnsafeMutableRawPointer] = [:]
        // libcurl holds an unretained pointer to it in every connection until the multi handle is gone.
        let closedSockets = CurlClosedSockets()

        func take(_ handle: UnsafeMutableRawPointer) -> CurlExchange? {
            guard let exchange = active.removeValue(forKey: handle) else { return nil }
            handles[ObjectIdentifier(exchange.transfer)] = nil
            curl_multi_remove_handle(multi, handle)
            return exchange
        }

        while true {
            let (commands, isStopping) = state.withLock { state in
                defer { state.commands = [] }
                return (state.commands, state.isStopping)
            }
            for command in commands {
                switch command {
                case .add(let transfer):
                    guard !transfer.isFinished else { continue }
                    guard let exchange = CurlExchange(transfer, closedSockets: closedSockets) else {
                        transfer.finish(.failure(CurlError(.other, detail: "out of memory")))
                        continue
                    }
                    let code = curl_multi_add_handle(multi, exchange.handle)
                    guard code == CURLM_OK else {
                        transfer.finish(.failure(CurlError(.other, detail: String(cString: curl_multi_strerror(code)))))
                        exchange.close()
                        continue
                    }
                    active[exchange.handle] = exchange
                    handles[ObjectIdentifier(transfer)] = exchange.handle
                case .unpause(let transfer):
                    guard let handle = handles[ObjectIdentifier(transfer)] else { continue }
                    let pauses = transfer.pauses
                    curl_easy_pause(handle, (pauses.receive ? CURLPAUSE_RECV : 0) | (pauses.send ? CURLPAUSE_SEND : 0))
                case .remove(let transfer):
                    if let handle = handles[ObjectIdentifier(transfer)] { take(handle)?.close() }
                }
            }
            if isStopping { break }
            var running: Int32 = 0
            curl_multi_perform(multi, &running)
            var left: Int32 = 0
            while let message = curl_multi_info_read(multi, &left) {
                guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle else { continue }
                let result = execbox_curl_message_result(message)
                guard let exchange = take(handle) else { continue }
                exchange.complete(result)
                exchange.close()
            }
            closedSockets.forget()
            curl_multi_poll(multi, nil, 0, 60_000, nil)
        }

        for handle in Array(active.keys) {
            guard let exchange = take(handle) else { continue }
            exchange.transfer.finish(.failure(CurlError(.closed)))
            exchange.close()
        }
        let late = state.withLock { state in
            state.isOpen = false
            defer { state.commands = [] }
            return state.commands
        }
        curl_multi_cleanup(multi)
        withExtendedLifetime(closedSockets) {}
        for case .add(let transfer) in late { transfer.finish(.failure(CurlError(.closed))) }
    }
}
