/// What a host can carry, and what it carries now.
package struct HostLoad: Hashable, Sendable {
    /// Sums over sessions: how many, and what they have reserved.
    package struct Amount: Hashable, Sendable {
        package var sessions: Int
        package var memoryMB: Int
        package var cpuMillis: Int

        package init(sessions: Int, memoryMB: Int, cpuMillis: Int) {
            self.sessions = sessions
            self.memoryMB = memoryMB
            self.cpuMillis = cpuMillis
        }
    }

    package var capacity: Amount
    package var taken: Amount

    package init(capacity: Amount, taken: Amount) {
        self.capacity = capacity
        self.taken = taken
    }
}
