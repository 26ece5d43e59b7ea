import ExecboxModel

/// Charges a page at a time: an account's year does not fit into memory, nor into one statement that a slow client keeps open.
///
/// Each session is in it once, also one that ends meanwhile: what had not ended at the beginning comes last, as it was then.
package struct ChargePages: AsyncSequence, Sendable {
    private static let pageSize = 500

    let store: UsageStore
    let account: AccountID
    let subject: UsageSubject
    let days: Int
    /// Asked before the first page.
    let unbooked: [SessionCharge]

    package func makeAsyncIterator() -> Iterator { Iterator(pages: self, late: Set(unbooked.map(\.sessionID))) }

    package struct Iterator: AsyncIteratorProtocol {
        fileprivate let pages: ChargePages
        fileprivate let late: Set<SessionID>
        private var last: SessionCharge?
        private var isFinished = false

        fileprivate init(pages: ChargePages, late: Set<SessionID>) {
            self.pages = pages
            self.late = late
        }

        package mutating func next() async throws -> [SessionCharge]? {
            guard !isFinished else { return nil }
            let page = try await pages.store.charges(
                of: pages.account, pages.subject, days: pages.days, after: last, limit: ChargePages.pageSize)
            last = page.last
            if page.count < ChargePages.pageSize {
                isFinished = true
                return page.filter { !late.contains($0.sessionID) } + pages.unbooked.filter { $0.startedAt != nil }
            }
            return page.filter { !late.contains($0.sessionID) }
        }
    }
}
