import Testing

@testable import ExecboxWebSocket

@Suite("WebSocket URLs") struct WebSocketURLTests {
    @Test("are taken apart")
    func parts() {
        let plain = WebSocketURL("ws://localhost")
        #expect(plain?.host == "localhost" && plain?.port == 80 && plain?.target == "/" && plain?.isSecure == false)
        #expect(plain?.authority == "localhost")
        let full = WebSocketURL("HTTPS://example.org:8443/a/b?c=%20d&e")
        #expect(full?.host == "example.org" && full?.port == 8443 && full?.target == "/a/b?c=%20d&e" && full?.isSecure == true)
        #expect(full?.authority == "example.org:8443")
        let six = WebSocketURL("wss://[::1]:1?x")
        #expect(six?.host == "::1" && six?.port == 1 && six?.target == "/?x" && six?.authority == "[::1]:1")
    }

    @Test(
        "are refused when they are none",
        arguments: [
            "", "localhost", "ftp://x", "ws://", "ws:///a", "ws://a:0", "ws://a:65536", "ws://a:x", "ws://u:p@a", "ws://a/b#c",
            "ws://a/b c",
            "ws://[::1", "ws://a/\r\nX: y", "ws://ä",
        ])
    func refuses(_ text: String) {
        #expect(WebSocketURL(text) == nil)
    }
}
