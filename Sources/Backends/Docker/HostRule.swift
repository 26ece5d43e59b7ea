/// One packet filter rule of ours, spelled as `iptables -S` prints it, so that what stands can be compared with what should.
package struct HostRule: Hashable, Sendable {
    package enum Family: String, Sendable, CaseIterable {
        case version4 = "iptables"
        case version6 = "ip6tables"
    }

    package var family: Family
    package var chain: String
    /// Everything after `-A <chain> `.
    package var text: String
    /// Stands at the head of a chain that is not ours; others stand in order in a chain of ours.
    package var isFirst: Bool
    /// What it is for, as a sandbox would see it.
    package var purpose: String

    init(_ family: Family = .version4, chain: String, _ text: String, isFirst: Bool = false, purpose: String) {
        self.family = family
        self.chain = chain
        self.text = text
        self.isFirst = isFirst
        self.purpose = purpose
    }
}
