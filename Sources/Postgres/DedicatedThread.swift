import CLibPQ
import Glibc

/// Threads for calls that block: Swift's cooperative pool has one thread per core, and a blocked one is a lost core.
enum DedicatedThread {
    /// Starts a detached thread. `name` is cut to the 15 bytes the kernel keeps.
    ///
    /// Throws `.unavailable` when the system has no thread to give.
    static func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws(PostgresError) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))

        // The process's signals are for the threads that expect them; a new thread inherits this mask.
        var everything = sigset_t()
        var previous = sigset_t()
        sigfillset(&everything)
        pthread_sigmask(SIG_SETMASK, &everything, &previous)
        defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }

        let start = Unmanaged.passRetained(Start(name: name, body: body))
        var thread = pthread_t()
        let status = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                execbox_name_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        guard status == 0 else {
            start.release()
            throw PostgresError(.unavailable, "no thread for \(name): \(systemMessage(status))")
        }
    }

    /// Runs `body` on a thread of its own and returns what it returned.
    ///
    /// Not cancellable: it ends when `body` does.
    static func run<Value: Sendable>(
        _ name: String, _ body: @escaping @Sendable () throws(PostgresError) -> Value
    ) async throws(PostgresError) -> Value {
        let result: Result<Value, PostgresError> = await withCheckedContinuation { continuation in
            do throws(PostgresError) {
                try self.start(name) {
                    let result: Result<Value, PostgresError>
                    do throws(PostgresError) { result = .success(try body()) } catch { result = .failure(error) }
                    continuation.resume(returning: result)
                }
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
        return try result.get()
    }

    private final class Start: Sendable {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }
}

/// The system's text for an `errno` value.
func systemMessage(_ code: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
