/// An e-mail address as it tells one person from another.
package enum EmailAddress {
    /// What addresses of one mailbox have in common: case does not count, nor does what follows a `+`, nor dots where Google ignores them.
    ///
    /// - Parameter address: checked for form.
    package static func key(_ address: String) -> String {
        let parts = address.lowercased().split(separator: "@", maxSplits: 1)
        guard parts.count == 2 else { return address.lowercased() }
        let domain = parts[1] == "googlemail.com" ? "gmail.com" : parts[1]
        let mailbox = parts[0].prefix { $0 != "+" }
        return (domain == "gmail.com" ? mailbox.filter { $0 != "." } : String(mailbox)) + "@" + domain
    }
}
