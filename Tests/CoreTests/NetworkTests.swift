import Testing

@testable import ExecboxCore

@Suite struct NetworkTests {
    @Test(arguments: [
        ("127.0.0.1", "127.0.0.1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("64:ff9b::a00:1", "10.0.0.1"), ("2002:a00:1::", "10.0.0.1"),
        ("2001:DB8::1", "2001:db8::1"), ("::1", "::1"),
    ])
    func anIPv4AddressInIPv6sClothesIsAnIPv4Address(text: String, meaning: String) {
        #expect(IPAddress(text)?.description == meaning)
    }

    @Test(arguments: ["", "localhost", "1.2.3", "1.2.3.4:80", "[::1]", "fe80::1%eth0", "256.1.1.1", "1.2.3.4/8", " 1.2.3.4"])
    func otherTextIsNoAddress(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func aNetworkHoldsItsAddressesAndNoOther() throws {
        let ten = try #require(IPNetwork("10.0.0.0/8"))
        let odd = try #require(IPNetwork("192.0.2.128/25"))
        let six = try #require(IPNetwork("fc00::/7"))
        let one = try #require(IPNetwork("198.51.100.7"))
        for (network, address, isIn) in [
            (ten, "10.255.255.255", true), (ten, "11.0.0.0", false), (ten, "::ffff:10.1.1.1", true), (ten, "fc00::1", false),
            (odd, "192.0.2.128", true), (odd, "192.0.2.127", false), (six, "fd12::1", true), (six, "fe00::1", false),
            (one, "198.51.100.7", true), (one, "198.51.100.8", false),
        ] {
            #expect(network.contains(try #require(IPAddress(address))) == isIn, "\(network) \(address)")
        }
        for bad in ["10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "/8", "10.0.0.0/8/9", "x"] { #expect(IPNetwork(bad) == nil, "\(bad)") }
        #expect(try #require(IPNetwork("::/0")).contains(try #require(IPAddress("2001:db8::1"))))
    }

    @Test(arguments: [
        "127.0.0.1", "127.255.0.1", "0.0.0.0", "10.1.2.3", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
        "255.255.255.255", "::1", "::", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fd00::1", "fe80::1", "ff02::1", "2002:7f00:1::",
    ])
    func whatIsNotPublicIsKnown(text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(IPNetwork.notPublic.contains { $0.contains(address) })
    }

    @Test(arguments: ["1.1.1.1", "172.32.0.1", "100.63.255.255", "9.255.255.255", "2606:4700::1111", "64:ff9b::101:101"])
    func whatIsPublicIsNotRefused(text: String) throws {
        let address = try #require(IPAddress(text))
        #expect(!IPNetwork.notPublic.contains { $0.contains(address) })
    }

    @Test(arguments: [
        ("Jane@Example.COM", "jane@example.com"), ("jane+list@example.com", "jane@example.com"), ("j.d@example.com", "j.d@example.com"),
        ("J.D+x@Gmail.com", "jd@gmail.com"), ("jd@googlemail.com", "jd@gmail.com"), ("nobody", "nobody"),
    ])
    func addressesOfOneMailboxHaveOneKey(address: String, key: String) {
        #expect(EmailAddress.key(address) == key)
    }
}
