import ExecboxCore
import ExecboxModel
import HTTPTypes

/// What a key needs for a route: one scope to look, one to change something.
struct RouteScopes {
    /// Nil for any key.
    var reading: Scope?
    var writing: Scope?

    static let sessions = RouteScopes(reading: .sessionsRead, writing: .sessionsWrite)
    static let files = RouteScopes(reading: .files, writing: .files)
    static let keys = RouteScopes(reading: .keys, writing: .keys)
    static let usage = RouteScopes(reading: .usage, writing: .usage)
    static let limits = RouteScopes(reading: .usage, writing: .keys)
    static let admin = RouteScopes(reading: .admin, writing: .admin)
    static let anyKey = RouteScopes()

    /// - Throws: `forbidden`.
    func check(_ method: HTTPRequest.Method, _ caller: Caller) throws(ExecboxError) {
        let isReading = method == .get || method == .head || method == .options
        if let scope = isReading ? reading : writing { try caller.require(scope) }
    }
}
