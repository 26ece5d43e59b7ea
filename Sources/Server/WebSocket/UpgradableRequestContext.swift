import Hummingbird

/// A context of a router with stream routes.
package protocol UpgradableRequestContext: RequestContext {
    var upgrade: UpgradeSlot { get }
}
