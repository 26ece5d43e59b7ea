import HTTPTypes
import Hummingbird
import Synchronization

/// What the router made of a connection's upgrade request, on its way from the event loop to the connection's task.
final class UpgradeDecision: Sendable {
    enum Made: Sendable {
        case accepted(HTTPFields, WebSocketAnswer)
        /// The router's own answer: 401, 404, or a 200 of a route that is no stream.
        case refused(Response)
    }

    private let made = Mutex<Made?>(nil)

    func set(_ decision: Made) { made.withLock { $0 = decision } }

    /// Whoever takes it answers for it: an accepted stream is run or abandoned, once.
    func take() -> Made? {
        made.withLock { made in
            defer { made = nil }
            return made
        }
    }

    var isRefused: Bool {
        made.withLock { made in
            if case .refused = made { true } else { false }
        }
    }

    var subprotocol: String? {
        made.withLock { made in
            if case .accepted(_, let answer) = made { answer.subprotocol } else { nil }
        }
    }
}
