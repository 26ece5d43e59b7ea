/// An image as the caller named it.
package struct ImageSpec: Equatable, Sendable {
    package enum PullPolicy: String, Sendable, CaseIterable { case missing, always }

    package var name: String
    package var pull: PullPolicy

    package init(name: String, pull: PullPolicy = .missing) {
        self.name = name
        self.pull = pull
    }
}
