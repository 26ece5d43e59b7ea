import ExecboxAPI
import ExecboxCurl
import ExecboxModel
import ExecboxTestSupport
import ExecboxWebSocket
import NIOHTTP1
import Testing

/// `/v1/account` over HTTP.
@Suite struct AccountTests {
    @Test func aKeyIsMadeSeenChangedRotatedAndDeleted() async throws {
        try await ServerProcess.with { server in
            let body = #"""
                {"name":"ci","description":"for CI","expires_at":"2099-12-31T23:59:59Z","custom_daily_limit":5,"scopes":["usage"]}
                """#
            let created = try await server.request("POST", "/v1/account/keys", json: body)
            #expect(created.status == 201)
            let key = try KeyBody.fromJSON(created.body)
            let secret = try #require(key.key)
            #expect(key.name == "ci" && key.description == "for CI" && key.customDailyLimit == 5 && key.scopes == [.usage] && key.isActive)
            #expect(key.expiresAt == Timestamp("2099-12-31T23:59:59Z"))
            #expect(secret.hasPrefix(key.keyPreview.dropLast(1)))

            let path = "/v1/account/keys/\(key.id)"
            var shown = key
            shown.key = nil
            #expect(try KeyBody.fromJSON(try await server.request("GET", path).body) == shown)
            let listed = try await server.request("GET", "/v1/account/keys")
            #expect(!String(decoding: listed.body, as: UTF8.self).contains(secret.suffix(43)))
            #expect(try KeyListBody.fromJSON(listed.body).keys.map(\.name) == ["test", "ci"])

            let changed = try await server.request(
                "PUT", path, json: #"{"name":"cd","description":null,"expires_at":null,"custom_daily_limit":null}"#)
            let now = try KeyBody.fromJSON(changed.body)
            #expect(now.name == "cd" && now.description == nil && now.expiresAt == nil && now.customDailyLimit == nil)
            #expect(now.scopes == [.usage])

            let rotated = try KeyBody.fromJSON(try await server.request("POST", path + "/rotate").body)
            let second = try #require(rotated.key)
            #expect(try await server.status("/v1/account", key: second) == 200)
            #expect(try await server.status("/v1/account", key: secret) == 401)
            let off = try await server.request("PUT", path, json: #"{"is_active":false}"#)
            #expect(off.status == 200)
            #expect(try await server.status("/v1/account", key: second) == 401)
            _ = try await server.request("PUT", path, json: #"{"is_active":true}"#)
            #expect(try await server.status("/v1/account", key: second) == 200)
            #expect(try await server.request("DELETE", path).status == 204)
            #expect(try await server.status("/v1/account", key: second) == 401)
            #expect(try await server.request("GET", path).status == 404)
            #expect(try await server.request("DELETE", path).status == 404)

            let audit = try AuditBody.fromJSON(try await server.request("GET", "/v1/account/audit?limit=3").body)
            #expect(audit.entries.map(\.action) == ["key.deleted", "key.updated", "key.updated"])
            #expect(audit.nextCursor != nil)
        }
    }

    @Test func theAccountAndItsLimitsAreShownAndChanged() async throws {
        try await ServerProcess.with { server in
            let account = try AccountBody.fromJSON(try await server.request("GET", "/v1/account").body)
            #expect(account.tier == "enterprise" && account.name == "default" && server.key.hasPrefix(account.apiKeyPreview.dropLast(1)))
            let before = try AccountLimitsBody.fromJSON(try await server.request("GET", "/v1/account/limits").body)
            #expect(before.dailyRequestsLimit == -1 && before.concurrentRequestsLimit == -1 && before.alertThreshold == 80)
            #expect(before.timezone == "UTC" && before.monthlyCostLimitCents == nil)
            let changed = try await server.request(
                "PUT", "/v1/account/limits",
                json: #"""
                    {"daily_requests_limit":50,"concurrent_requests_limit":4,"monthly_cost_limit_cents":1999,"alert_threshold":95,
                     "timezone":"America/New_York","billing_email":"billing@example.com"}
                    """#)
            let after = try AccountLimitsBody.fromJSON(changed.body)
            #expect(after.dailyRequestsLimit == 50 && after.concurrentRequestsLimit == 4 && after.alertThreshold == 95)
            #expect(after.monthlyCostLimitCents == 1999 && after.monthlyCostLimitMicros == 19_990_000)
            #expect(after.timezone == "America/New_York" && after.billingEmail == "billing@example.com")
            #expect(try AccountLimitsBody.fromJSON(try await server.request("GET", "/v1/account/limits").body) == after)
        }
    }

    @Test func badInputNamesItsFieldAndChangesNothing() async throws {
        try await ServerProcess.with { server in
            let key = try KeyBody.fromJSON(try await server.request("POST", "/v1/account/keys", json: #"{"name":"ci"}"#).body)
            let before = try await server.everythingOfTheAccount()
            let long = String(repeating: "n", count: 10_000)
            let deep = String(repeating: "[", count: 10_000)
            let cases: [(method: String, path: String, body: String, field: String?)] = [
                ("POST", "keys", #"{}"#, "name"), ("POST", "keys", #"{"name":""}"#, "name"), ("POST", "keys", #"{"name":" \t"}"#, "name"),
                ("POST", "keys", #"{"name":7}"#, "name"), ("POST", "keys", "{\"name\":\"\(long)\"}", "name"),
                ("POST", "keys", #"{"name":"a\u0000b"}"#, "name"), ("POST", "keys", #"{"name":"x","Name":"y"}"#, "Name"),
                ("POST", "keys", #"{"name":"x","name":"y"}"#, nil), ("POST", "keys", "{\"name\":\(deep)", nil),
                ("POST", "keys", "{\"name\":\"x\",\"description\":\"\(long)\"}", "description"),
                ("POST", "keys", #"{"name":"x","expires_at":"tomorrow"}"#, "expires_at"),
                ("POST", "keys", #"{"name":"x","expires_at":"2020-01-01T00:00:00Z"}"#, "expires_at"),
                ("POST", "keys", #"{"name":"x","expires_at":"2030-02-30T00:00:00Z"}"#, "expires_at"),
                ("POST", "keys", #"{"name":"x","custom_daily_limit":-1}"#, "custom_daily_limit"),
                ("POST", "keys", #"{"name":"x","custom_daily_limit":0}"#, "custom_daily_limit"),
                ("POST", "keys", #"{"name":"x","custom_concurrent_limit":99999999999999999999}"#, "custom_concurrent_limit"),
                ("POST", "keys", #"{"name":"x","custom_concurrent_limit":1.5}"#, "custom_concurrent_limit"),
                ("POST", "keys", #"{"name":"x","scopes":["root"]}"#, "scopes[0]"),
                ("POST", "keys", #"{"name":"x","scopes":"usage"}"#, "scopes"),
                ("POST", "keys?x=1", #"{"name":"x"}"#, "x"), ("POST", "keys", "", nil), ("POST", "keys", "[]", nil),
                ("PUT", "keys/\(key.id)", #"{"is_active":"no"}"#, "is_active"), ("PUT", "keys/\(key.id)", #"{"key":"eb_x"}"#, "key"),
                ("PUT", "keys/\(key.id)", #"{"expires_at":"2020-01-01T00:00:00Z"}"#, "expires_at"),
                ("POST", "keys/\(key.id)/rotate", #"{"grace_seconds":-1}"#, "grace_seconds"),
                ("POST", "keys/\(key.id)/rotate", #"{"grace_seconds":99999999}"#, "grace_seconds"),
                ("PUT", "limits", #"{"timezone":"Mars/Olympus"}"#, "timezone"), ("PUT", "limits", #"{"timezone":""}"#, "timezone"),
                ("PUT", "limits", #"{"alert_threshold":0}"#, "alert_threshold"),
                ("PUT", "limits", #"{"alert_threshold":101}"#, "alert_threshold"),
                ("PUT", "limits", #"{"daily_requests_limit":-5}"#, "daily_requests_limit"),
                ("PUT", "limits", #"{"billing_email":"nobody"}"#, "billing_email"),
                ("PUT", "limits", #"{"billing_email":"a@b@c.de"}"#, "billing_email"),
                ("PUT", "limits", #"{"monthly_cost_limit_cents":1,"monthly_cost_limit_micros":1}"#, "monthly_cost_limit_cents"),
                ("PUT", "limits", #"{"tier":"enterprise"}"#, "tier"), ("GET", "audit?limit=0", "", "limit"),
                ("GET", "audit?cursor=x", "", "cursor"),
            ]
            for (method, path, body, field) in cases {
                let answer = try await server.request(method, "/v1/account/\(path)", json: method == "GET" ? nil : body)
                #expect(answer.status == 400, "\(method) \(path) \(body.prefix(80))")
                let error = try ErrorBody.fromJSON(answer.body)
                #expect(error.code == "BAD_REQUEST")
                if let field { #expect(error.details?["field"] == .text(field), "\(method) \(path) \(body.prefix(80))") }
            }
            #expect(try await server.everythingOfTheAccount() == before)
        }
    }

    @Test func limitsAreEnforcedBeforeAnyContainerIsMade() async throws {
        try await ServerProcess.with { server in
            let key = try server.execboxd("keys", "create", "--name", "small", "--account", "small", "--tier", "free").trimming()
            func create(_ resources: String) async throws -> CurlResponse {
                try await server.request(
                    "POST", "/v1/sessions",
                    json:
                        #"{"image":"\#(server.engine.imageName)","network":"none","command":["sleep","600"],"resources":{\#(resources)}}"#,
                    headers: [CurlHeader("Authorization", "Bearer \(key)")], authorized: false)
            }
            for (resources, field) in [
                (#""memoryMB":513"#, "resources.memoryMB"), (#""timeoutMs":60001"#, "resources.timeoutMs"),
            ] {
                let answer = try await create(resources)
                #expect(answer.status == 400)
                #expect(try ErrorBody.fromJSON(answer.body).details?["field"] == .text(field))
            }
            var sessions: [SessionBody] = []
            for _ in 0..<5 { sessions.append(try SessionBody.fromJSON(try await create(#""memoryMB":64"#).body)) }
            // What was not asked for is the tier's.
            #expect(sessions.allSatisfy { $0.resources.timeoutMs == 60_000 && $0.expiresAt != nil })
            let refused = try await create(#""memoryMB":64"#)
            #expect(refused.status == 429)
            #expect(refused.headers["Retry-After"] == "5")
            let error = try ErrorBody.fromJSON(refused.body)
            #expect(error.code == "QUOTA_EXCEEDED")
            #expect(error.details == ["limit": .text("concurrent_sessions"), "value": .number(5), "owner": .text("tier")])
            #expect(try await server.containers().count == 5)
            let patched = try await server.request(
                "PATCH", "/v1/sessions/\(sessions[0].id)", json: #"{"timeoutMs":3600000}"#,
                headers: [CurlHeader("Authorization", "Bearer \(key)")], authorized: false)
            let session = try SessionBody.fromJSON(patched.body)
            // At most the tier's maximum after the start.
            #expect(session.expiresAt == session.startedAt?.adding(milliseconds: 60_000))
            // Others have places of their own.
            #expect(try await server.create(["true"]).status != .failed)
        }
    }

    @Test func aKeyDoesOnlyWhatItsScopesAllow() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sleep", "600"])
            let calls: [(method: String, path: String, scope: Scope)] = [
                ("GET", "sessions", .sessionsRead), ("GET", "sessions/\(session.id)", .sessionsRead),
                ("GET", "sessions/\(session.id)/logs", .sessionsRead), ("GET", "sessions/\(session.id)/execs", .sessionsRead),
                ("POST", "sessions", .sessionsWrite), ("PATCH", "sessions/\(session.id)", .sessionsWrite),
                ("POST", "sessions/\(session.id)/exec", .sessionsWrite), ("DELETE", "sessions/\(session.id)", .sessionsWrite),
                ("GET", "sessions/\(session.id)/files?path=/", .files), ("GET", "account/limits", .usage),
                ("PUT", "account/limits", .keys), ("GET", "account/keys", .keys), ("POST", "account/keys", .keys),
                ("GET", "account/audit", .keys),
            ]
            let none = try await server.newKey(scopes: [])
            #expect(try await server.status("/v1/account", key: none) == 200)
            for (method, path, scope) in calls {
                let answer = try await server.request(
                    method, "/v1/\(path)", json: method == "GET" ? nil : "{}", headers: [CurlHeader("Authorization", "Bearer \(none)")],
                    authorized: false)
                #expect(answer.status == 403, "\(method) \(path)")
                let error = try ErrorBody.fromJSON(answer.body)
                #expect(error.code == "FORBIDDEN")
                #expect(error.details?["scope"] == .text(scope.rawValue), "\(method) \(path)")
            }
            #expect(try await server.session(session.id).status == .running)
            // With the scope the same calls get further.
            for (method, path, scope) in calls where method == "GET" {
                #expect(try await server.status("/v1/\(path)", key: try await server.newKey(scopes: [scope])) != 403, "\(path)")
            }
        }
    }

    @Test func whoMayOnlyLookAttachesWithoutStdin() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sh", "-c", "echo hello; sleep 600"])
            let reader = try await server.newKey(scopes: [.sessionsRead])
            let path = "ws://127.0.0.1:\(server.port)/v1/sessions/\(session.id)/attach"
            let headers: HTTPHeaders = ["Authorization": "Bearer \(reader)"]
            await #expect { try await WebSocketClient().connect(path, headers: headers, subprotocols: ["execbox.v1"]) } throws: {
                if case .refused(status: 403, headers: _, body: _)? = $0 as? WebSocketClientError { true } else { false }
            }
            let (stream, _) = try await WebSocketClient().connect(path + "?stdin=false", headers: headers, subprotocols: ["execbox.v1"])
            var seen = StreamRecord()
            try await server.collect(stream, into: &seen) { $0.text == "hello\n" }
            await stream.close()
        }
    }

    @Test func aKeyThatIsRevokedElsewhereEndsItsOpenStreamsAndIsRefused() async throws {
        try await ServerProcess.with { server in
            let session = try await server.create(["sleep", "600"])
            let key = try await server.newKey(scopes: [.sessionsRead, .sessionsWrite])
            let (stream, _) = try await WebSocketClient().connect(
                "ws://127.0.0.1:\(server.port)/v1/sessions/\(session.id)/attach", headers: ["Authorization": "Bearer \(key)"],
                subprotocols: ["execbox.v1"])
            #expect(try await server.status("/v1/sessions", key: key) == 200)
            // Another process: this one hears of it from the database.
            try server.execboxd("keys", "revoke", key)
            while await stream.receive() != nil {}
            #expect(stream.closeCode == .unauthorized)
            try await eventually("the key is refused") { try await server.status("/v1/sessions", key: key) == 401 }
            #expect(try await server.session(session.id).status == .running)
        }
    }
}

extension String {
    fileprivate func trimming() -> String { String(split(whereSeparator: \.isWhitespace).joined()) }
}

extension ServerProcess {
    fileprivate func newKey(scopes: [Scope]) async throws -> String {
        let names = scopes.map { "\"\($0.rawValue)\"" }.joined(separator: ",")
        let answer = try await request("POST", "/v1/account/keys", json: #"{"name":"scoped","scopes":[\#(names)]}"#)
        return try #require(try KeyBody.fromJSON(answer.body).key)
    }

    fileprivate struct Everything: Equatable {
        var keys: KeyListBody
        var limits: AccountLimitsBody
        var audit: AuditBody
    }

    /// Keys, limits and audit log as they are answered.
    fileprivate func everythingOfTheAccount() async throws -> Everything {
        func answer(_ path: String) async throws -> [UInt8] { try await request("GET", "/v1/account/\(path)").body }
        var keys = try KeyListBody.fromJSON(try await answer("keys"))
        // The key that asks is used meanwhile.
        for index in keys.keys.indices { keys.keys[index].lastUsedAt = nil }
        return Everything(
            keys: keys, limits: try AccountLimitsBody.fromJSON(try await answer("limits")),
            audit: try AuditBody.fromJSON(try await answer("audit")))
    }
}
