/// An image as the caller named it.
package struct ImageSpec: Equatable, Sendable {
    package enum PullPolicy: String, Sendable, CaseIterable { case missing, always }

    package var name: String
    package var pull: PullPolicy
    /// The content that `name` stood for when it was first prepared; from then on nothing else will do, however the name moves.
    package var digest: String?

    package init(name: String, pull: PullPolicy = .missing, digest: String? = nil) {
        self.name = name
        self.pull = pull
        self.digest = digest
    }
}
