/// One thing that must be equal in two places, and how often it is not.
package struct DriftCheck: Hashable, Sendable {
    package var name: String
    package var differences: Int
    /// A few ids of what differs.
    package var examples: [String]
}
