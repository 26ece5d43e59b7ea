import Glibc
import Synchronization

/// The executor of one connection: a thread that runs the connection's jobs in order and sleeps in between.
///
/// libpq may block it (name resolution, TLS, `poll`), and nobody else is held up.
final class ConnectionThread: SerialExecutor {
    private struct Queue {
        var jobs: [UnownedJob] = []
        var isStopped = false
    }

    private let queue = Mutex(Queue())
    private let thread = Atomic<UInt>(0)

    // A POSIX semaphore is made to be shared between threads, but must keep its address: allocated once, freed in deinit.
    private nonisolated(unsafe) let wakeUp: UnsafeMutablePointer<sem_t>

    /// Starts the thread; it lives until `stop()`.
    init(name: String) throws(PostgresError) {
        self.wakeUp = .allocate(capacity: 1)
        sem_init(self.wakeUp, 0, 0)
        // The thread owns the executor, not the other way round: a job's last act can be to release the actor,
        // and the executor has to outlive that job.
        try DedicatedThread.start(name) { self.work() }
    }

    deinit {
        sem_destroy(self.wakeUp)
        self.wakeUp.deallocate()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        self.queue.withLock { $0.jobs.append(job) }
        sem_post(self.wakeUp)
    }

    /// Lets the thread end once its queue is empty. Called by the connection's `deinit`: nobody can enqueue after that.
    func stop() {
        self.queue.withLock { $0.isStopped = true }
        sem_post(self.wakeUp)
    }

    func checkIsolated() {
        precondition(self.isCurrent, "not on the connection's thread")
    }

    func isIsolatingCurrentContext() -> Bool? {
        self.isCurrent
    }

    private var isCurrent: Bool {
        self.thread.load(ordering: .relaxed) == UInt(pthread_self())
    }

    private func work() {
        self.thread.store(UInt(pthread_self()), ordering: .relaxed)
        while true {
            while sem_wait(self.wakeUp) != 0 {}  // EINTR
            let (jobs, isStopped) = self.queue.withLock { queue in
                defer { queue.jobs.removeAll(keepingCapacity: true) }
                return (queue.jobs, queue.isStopped)
            }
            for job in jobs { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
            if isStopped, jobs.isEmpty { return }
            // Nothing posts after stop(): look again, until the queue is seen empty.
            if isStopped { sem_post(self.wakeUp) }
        }
    }
}
