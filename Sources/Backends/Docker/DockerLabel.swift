/// The labels that make a thing ours; without the cluster's nothing is touched.
enum DockerLabel {
    static let cluster = "execbox.cluster"
    static let sandbox = "execbox.sandbox"
    static let session = "execbox.session"
    /// On containers that are no sandboxes: probes, the agent volume's filler.
    static let purpose = "execbox.purpose"
}
