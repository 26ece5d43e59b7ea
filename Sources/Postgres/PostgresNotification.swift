/// One NOTIFY as it arrived.
struct PostgresNotification: Hashable, Sendable {
    let channel: String
    let payload: String
}
