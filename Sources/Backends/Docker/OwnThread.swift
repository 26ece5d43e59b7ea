import Glibc

/// Runs what blocks, or what changes the calling thread for good (network namespaces), on a thread of its own that ends with it.
enum OwnThread {
    struct Unavailable: Error {}

    private final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    static func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        let result: Result<Value, any Error> = await withCheckedContinuation { continuation in
            var thread = pthread_t()
            let work = Unmanaged.passRetained(Work { continuation.resume(returning: Result(catching: body)) })
            let code = pthread_create(
                &thread, nil,
                { context in
                    if let context { Unmanaged<Work>.fromOpaque(context).takeRetainedValue().body() }
                    return nil
                }, work.toOpaque())
            guard code == 0 else {
                work.release()
                continuation.resume(returning: .failure(Unavailable()))
                return
            }
            pthread_detach(thread)
        }
        return try result.get()
    }
}
