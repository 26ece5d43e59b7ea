import Testing

@testable import ExecboxPostgres

@Suite("A subscriber's inbox") struct NotificationInboxTests {
    @Test("keeps each payload once, in the order of the first time")
    func coalesces() {
        var inbox = InboxState(limit: 10)
        for payload in ["b", "a", "b", "c", "a"] { inbox.deliver(payload) }
        let (first, second) = (inbox.take(), inbox.take())
        #expect(first == .notified(["b", "a", "c"]))
        #expect(second == nil)
    }

    @Test("turns into \"read everything\" when there is too much to keep")
    func overflows() {
        var inbox = InboxState(limit: 2)
        for payload in ["a", "b", "c", "d"] { inbox.deliver(payload) }
        let (first, second) = (inbox.take(), inbox.take())
        #expect(first == .resync)
        #expect(second == nil)
        inbox.deliver("e")
        let third = inbox.take()
        #expect(third == .notified(["e"]))
    }

    @Test("forgets payloads when everything has to be read anyway")
    func resync() {
        var inbox = InboxState(limit: 10)
        inbox.deliver("a")
        inbox.resync()
        let (first, second) = (inbox.take(), inbox.take())
        #expect(first == .resync)
        #expect(second == nil)
    }

    @Test("gives a waiting reader what comes, and nil at the end")
    func waiting() async {
        let inbox = NotificationInbox(limit: 10)
        async let event = inbox.next()
        inbox.deliver("a")
        #expect(await event == .notified(["a"]))
        async let end = inbox.next()
        inbox.finish()
        #expect(await end == nil)
        #expect(await inbox.next() == nil)
    }

    @Test("lets a cancelled reader go and keeps what comes for the next")
    func cancellation() async {
        let inbox = NotificationInbox(limit: 10)
        for round in 0..<1_000 {
            let reader = Task { await inbox.next() }
            if round % 2 == 0 { await Task.yield() }
            reader.cancel()
            #expect(await reader.value == nil)
        }
        inbox.deliver("a")
        #expect(await inbox.next() == .notified(["a"]))
    }
}
