/// An image that is at hand, and what it says of itself.
package struct PreparedImage: Equatable, Sendable {
    package var name: String
    /// The backend's content address (`sha256:…`); sandboxes are made from this, so a moving tag cannot change one.
    package var digest: String
    package var entrypoint: [String]
    package var command: [String]
    /// `NAME=value` each.
    package var environment: [String]
    package var user: String
    package var workingDirectory: String
    /// As in the image (`SIGINT`, `2`); empty for the default.
    package var stopSignal: String

    package init(
        name: String,
        digest: String,
        entrypoint: [String] = [],
        command: [String] = [],
        environment: [String] = [],
        user: String = "",
        workingDirectory: String = "",
        stopSignal: String = ""
    ) {
        self.name = name
        self.digest = digest
        self.entrypoint = entrypoint
        self.command = command
        self.environment = environment
        self.user = user
        self.workingDirectory = workingDirectory
        self.stopSignal = stopSignal
    }
}
