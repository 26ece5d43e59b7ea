import ExecboxCore
import HTTPTypes
import Hummingbird

/// Whose request it is, behind reverse proxies that may be believed.
package struct ClientAddress: Sendable {
    private let trustedProxies: [IPNetwork]

    package init(trustedProxies: [IPNetwork]) { self.trustedProxies = trustedProxies }

    /// `X-Forwarded-For` counts from its end, where our own proxies write: the last address that none of them has is the client's. Whatever
    /// stands before it may be invented.
    ///
    /// - Parameters:
    ///   - peer: the connection's other end; nil for one that has no address.
    ///   - forwarded: the header field's values in their order.
    package func client(peer: IPAddress?, forwarded: [String]) -> IPAddress? {
        guard var client = peer else { return nil }
        var hops = forwarded.flatMap { $0.split(separator: ",") }.map { String($0.filter { $0 != " " && $0 != "\t" }) }
        while trustedProxies.contains(where: { $0.contains(client) }), let hop = hops.popLast() {
            guard let address = IPAddress(hop) else { break }
            client = address
        }
        return client
    }

    func client(of request: Request, _ context: ServerContext) -> IPAddress? {
        client(peer: context.peer, forwarded: HTTPField.Name("X-Forwarded-For").map { request.headers[values: $0] } ?? [])
    }
}
