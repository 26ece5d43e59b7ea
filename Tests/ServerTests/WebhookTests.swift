import Crypto
import ExecboxAPI
import ExecboxCurl
import ExecboxModel
import ExecboxPostgres
import ExecboxTestSupport
import Foundation
import NIOHTTP1
import Testing

/// Webhooks over https, with a receiver on loopback.
@Suite struct WebhookTests {
    private static func with(
        allow: String = "127.0.0.0/8", _ body: @Sendable (ServerProcess, HTTPSReceiver) async throws -> Void
    ) async throws {
        try await HTTPSReceiver.with { receiver in
            let environment = ["EXECBOX_WEBHOOK_ALLOW": allow, "EXECBOX_WEBHOOK_CA": receiver.certificateFile]
            try await ServerProcess.with(environment: environment) { server in try await body(server, receiver) }
        }
    }

    private static func make(_ server: ServerProcess, _ url: String, _ events: String) async throws -> WebhookBody {
        let answer = try await server.request("POST", "/v1/account/webhooks", json: #"{"url":"\#(url)","events":[\#(events)]}"#)
        #expect(answer.status == 201)
        return try WebhookBody.fromJSON(answer.body)
    }

    private static func deliveries(_ server: ServerProcess, _ hook: WebhookBody) async throws -> [WebhookDeliveryBody] {
        try PageBody<WebhookDeliveryBody>.fromJSON(
            try await server.request("GET", "/v1/account/webhooks/\(hook.id)/deliveries").body
        ).items
    }

    /// What waits for its next attempt is due now.
    private static func hurry(_ server: ServerProcess) async throws {
        try await server.database.withConnection { connection in
            _ = try await connection.execute("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE status = 'pending'")
            _ = try await connection.query("SELECT pg_notify('execbox_webhook', '')")
        }
    }

    private struct Event: Decodable {
        struct Content: Decodable {
            var sessionId: String?
            var reason: String?
            var costMicros: Int64?
            var keyId: String?
            var percent: Int?
        }

        var id: String
        var type: String
        var data: Content

        init(_ request: HTTPSReceiver.Received) throws {
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            self = try decoder.decode(Event.self, from: Data(request.body))
        }
    }

    @Test func anEndAndAChangedKeyAreToldOfAndSigned() async throws {
        try await Self.with { server, receiver in
            let hook = try await Self.make(server, receiver.url, #""session.ended","key.*""#)
            let secret = try #require(hook.secret)
            #expect(secret.hasPrefix("whsec_") && hook.events.count == 5)
            let key = try KeyBody.fromJSON(try await server.request("POST", "/v1/account/keys", json: #"{"name":"ci"}"#).body)
            let session = try await server.ended("\(try await server.create(["sh", "-c", "exit 4"]).id)")
            try await eventually("both are delivered") { receiver.received.count >= 2 }
            let events = try receiver.received.map(Event.init)
            let created = try #require(events.first { $0.type == "key.created" })
            #expect(created.data.keyId == key.id && created.id.hasPrefix("evt_"))
            let ended = try #require(events.first { $0.type == "session.ended" })
            #expect(ended.data.sessionId == "\(session.id)" && ended.data.reason == "exited")
            #expect(ended.data.costMicros == session.usage?.costMicros)
            for request in receiver.received {
                #expect(request.head.method == .POST && request.head.uri == "/hook?x=1")
                let signature = try #require(request.head.headers.first(name: "Execbox-Signature")).split(separator: ",")
                let time = try #require(Int64(signature[0].dropFirst(2)))
                #expect(abs(time - Timestamp.now.unixMicroseconds / 1_000_000) < 120)
                let code = HMAC<SHA256>.authenticationCode(
                    for: Data("\(time).".utf8) + Data(request.body), using: SymmetricKey(data: Data(secret.utf8)))
                #expect(signature[1] == "v1=" + code.map { String(format: "%02x", $0) }.joined())
            }
            try await eventually("it is written down") { try await Self.deliveries(server, hook).allSatisfy { $0.status == "delivered" } }
            let listed = try PageBody<WebhookBody>.fromJSON(try await server.request("GET", "/v1/account/webhooks").body)
            #expect(listed.items.map(\.id) == [hook.id] && listed.items[0].secret == nil)
        }
    }

    @Test func whatIsRefusedIsSentAgainAlsoByTheNextServer() async throws {
        try await Self.with { server, receiver in
            let hook = try await Self.make(server, receiver.url, #""session.ended""#)
            receiver.answer(.internalServerError, .found, headers: ["location": receiver.url])
            _ = try await server.ended("\(try await server.create(["true"]).id)")
            try await eventually("the first attempt failed") { try await Self.deliveries(server, hook).first?.attempts == 1 }
            #expect(try await Self.deliveries(server, hook).first?.lastStatus == 500)
            try await Self.hurry(server)
            // A redirect is no delivery, and is not followed.
            try await eventually("so did the second") { try await Self.deliveries(server, hook).first?.attempts == 2 }
            #expect(receiver.received.count == 2)
            await server.kill()
            try await server.start()
            try await Self.hurry(server)
            try await eventually("the third did not") { try await Self.deliveries(server, hook).first?.status == "delivered" }
            let delivery = try #require(try await Self.deliveries(server, hook).first)
            let path = "/v1/account/webhooks/\(hook.id)/deliveries/\(delivery.id)/redeliver"
            #expect(try await server.request("POST", path).status == 202)
            try await eventually("it came again") { receiver.received.count == 4 }
            #expect(Set(receiver.received.map(\.body)).count == 1)
            #expect(try await server.request("POST", "/v1/account/webhooks/\(hook.id)/deliveries/dlv_x/redeliver").status == 404)
        }
    }

    @Test func addressesThatAreNotPublicAreNotConnectedTo() async throws {
        try await Self.with(allow: "10.9.9.9") { server, receiver in
            let hook = try await Self.make(server, receiver.url, #""key.created""#)
            let named = try await Self.make(server, receiver.url.replacing("127.0.0.1", with: "localhost"), #""key.created""#)
            let mapped = try await Self.make(server, receiver.url.replacing("127.0.0.1", with: "[::ffff:127.0.0.1]"), #""key.created""#)
            _ = try await server.request("POST", "/v1/account/keys", json: #"{"name":"ci"}"#)
            for hook in [hook, named, mapped] {
                try await eventually("it was tried") { try await Self.deliveries(server, hook).first?.attempts == 1 }
                let error = try await Self.deliveries(server, hook).first?.lastError
                #expect(error == "the host's address may not be connected to", "\(hook.url)")
            }
            #expect(receiver.received.isEmpty)
        }
    }

    @Test func reachedPartsOfTheCostLimitAreToldOf() async throws {
        try await Self.with { server, receiver in
            _ = try await Self.make(server, receiver.url, #""quota.threshold""#)
            _ = try await server.request("PUT", "/v1/account/limits", json: #"{"monthly_cost_limit_micros":1050}"#)
            _ = try await server.ended("\(try await server.create(["true"]).id)")
            try await eventually("two thresholds") { receiver.received.count == 2 }
            let percents = try receiver.received.map { try Event($0).data.percent }
            #expect(Set(percents) == [80, 90])
        }
    }

    @Test func badInputNamesItsField() async throws {
        try await ServerProcess.with { server in
            let long = "https://example.com/" + String(repeating: "x", count: 2000)
            for (body, field) in [
                (#"{"events":["session.ended"]}"#, "url"), (#"{"url":"http://example.com/","events":["session.ended"]}"#, "url"),
                (#"{"url":"https://","events":["session.ended"]}"#, "url"), (#"{"url":"https://u:p@h/","events":["key.*"]}"#, "url"),
                (#"{"url":"\#(long)","events":["key.*"]}"#, "url"), (#"{"url":"https://h/#x","events":["key.*"]}"#, "url"),
                (#"{"url":"https://h/"}"#, "events"), (#"{"url":"https://h/","events":[]}"#, "events"),
                (#"{"url":"https://h/","events":["session.*"]}"#, "events[0]"), (#"{"url":"https://h/","events":["key.*"],"x":1}"#, "x"),
            ] {
                let answer = try await server.request("POST", "/v1/account/webhooks", json: body)
                #expect(answer.status == 400, "\(body.prefix(80))")
                #expect(try ErrorBody.fromJSON(answer.body).details?["field"] == .text(field), "\(body.prefix(80))")
            }
            let hook = try await Self.make(server, "https://example.com/", #""key.*""#)
            let off = try await server.request("PATCH", "/v1/account/webhooks/\(hook.id)", json: #"{"is_active":false}"#)
            #expect(try WebhookBody.fromJSON(off.body).isActive == false)
            #expect(try await server.request("DELETE", "/v1/account/webhooks/\(hook.id)").status == 204)
            #expect(try await server.request("GET", "/v1/account/webhooks/\(hook.id)").status == 404)
        }
    }
}
