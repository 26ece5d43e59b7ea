import ExecboxCore
import ExecboxModel
import Hummingbird
import Logging
import NIOCore

/// What a request carries through middleware and routes.
package struct ServerContext: UpgradableRequestContext {
    package var coreContext: CoreRequestContextStorage
    package let upgrade: UpgradeSlot
    /// Written by `RateLimiting`, read by `RequestIdentity` for answers of every kind.
    package let rate: RateSlot
    private let remoteAddress: SocketAddress?
    /// The caller's `X-Request-Id`, or one made here.
    package var requestID: String
    /// Set by `Authentication`; routes behind it may rely on it.
    package var authenticated: Caller?

    package init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        upgrade = UpgradeSlot()
        rate = RateSlot()
        remoteAddress = source.channel.remoteAddress
        requestID = ""
    }

    /// The connection's other end; nil unless it is an IP connection.
    package var peer: IPAddress? { remoteAddress?.ipAddress.flatMap(IPAddress.init) }

    package var caller: Caller {
        get throws {
            guard let authenticated else { throw Authenticator.unauthenticated }
            return authenticated
        }
    }
}
