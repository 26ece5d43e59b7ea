import ExecboxAPI
import ExecboxCurl
import ExecboxModel
import ExecboxPostgres
import ExecboxTestSupport
import Foundation
import Testing

/// `/v1/admin`, sign-up and the operators' command line, on a real server.
@Suite struct AdminTests {
    private static func admin(_ server: ServerProcess) throws -> String {
        try server.execboxd("keys", "create", "--name", "root", "--account", "operators", "--scope", "admin", "--scope", "keys")
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private static func ask(
        _ server: ServerProcess, _ key: String, _ method: String, _ path: String, _ body: String? = nil, idempotency: String? = nil
    ) async throws -> CurlResponse {
        var headers = [CurlHeader("Authorization", "Bearer \(key)")]
        if let idempotency { headers.append(CurlHeader("Idempotency-Key", idempotency)) }
        return try await server.request(method, "/v1/admin/\(path)", json: body, headers: headers, authorized: false)
    }

    @Test func onlyKeysWithTheScopeAdministrate() async throws {
        try await ServerProcess.with { server in
            for (method, path) in [
                ("GET", "accounts"), ("POST", "accounts"), ("GET", "tiers"), ("PUT", "tiers/x"), ("GET", "prices"), ("GET", "drift"),
                ("GET", "audit"), ("GET", "quota-requests"),
            ] {
                let answer = try await Self.ask(server, server.key, method, path, method == "GET" ? nil : "{}")
                #expect(answer.status == 403, "\(method) \(path)")
                #expect(try ErrorBody.fromJSON(answer.body).details?["scope"] == .text("admin"))
            }
        }
    }

    @Test func anAccountIsMadeGivenAKeyAndAnotherTier() async throws {
        try await ServerProcess.with { server in
            let admin = try Self.admin(server)
            let body = #"{"name":"acme","email":"Boss+x@Example.com","tier":"free"}"#
            let made = try await Self.ask(server, admin, "POST", "accounts", body, idempotency: "a")
            #expect(made.status == 201)
            let account = try AdminAccountBody.fromJSON(made.body)
            #expect(account.tier == "free" && account.email == "Boss+x@Example.com" && account.limits.concurrentRequestsLimit == 5)
            let again = try await Self.ask(server, admin, "POST", "accounts", body, idempotency: "a")
            #expect(try AdminAccountBody.fromJSON(again.body) == account)
            // The same mailbox, written otherwise.
            #expect(try await Self.ask(server, admin, "POST", "accounts", #"{"name":"x","email":"boss@example.com"}"#).status == 409)
            let found = try PageBody<AdminAccountBody>.fromJSON(
                try await Self.ask(server, admin, "GET", "accounts?email=BOSS%40example.com").body)
            #expect(found.items == [account])

            let key = try KeyBody.fromJSON(
                try await Self.ask(server, admin, "POST", "accounts/\(account.id)/keys", #"{"name":"first","scopes":["usage"]}"#).body)
            let text = try #require(key.key)
            let own = try AccountUsageBody.fromJSON(
                try await server.request(
                    "GET", "/v1/account/usage", headers: [CurlHeader("Authorization", "Bearer \(text)")], authorized: false
                ).body)
            #expect(own.tier == "free" && own.dailyLimit == 10)
            let expiry = Timestamp.now.adding(milliseconds: 3_600_000).text
            let changed = try await Self.ask(
                server, admin, "PATCH", "accounts/\(account.id)", #"{"tier":"pro","tier_expires_at":"\#(expiry)","email":null}"#)
            let now = try AdminAccountBody.fromJSON(changed.body)
            #expect(now.tier == "pro" && now.email == nil && now.tierExpiresAt?.text == expiry)
            #expect(try await Self.ask(server, admin, "DELETE", "accounts/\(account.id)/keys/\(key.id)").status == 204)
            #expect(try await server.status("/v1/account", key: text) == 401)
            let audit = try AuditBody.fromJSON(try await Self.ask(server, admin, "GET", "audit?limit=4").body)
            #expect(audit.entries.map(\.action) == ["key.deleted", "account.updated", "key.created", "account.created"])
            #expect(audit.entries.allSatisfy { $0.actor.hasPrefix("key:key_") } && audit.nextCursor != nil)
        }
    }

    @Test func tiersAndPricesAreChangedAndLogged() async throws {
        try await ServerProcess.with { server in
            let admin = try Self.admin(server)
            let tier = #"{"concurrent_sessions":3,"max_memory_mb":256,"requests_per_second":1000000}"#
            let put = try await Self.ask(server, admin, "PUT", "tiers/bench", tier)
            #expect(put.status == 200)
            let made = try TierBody.fromJSON(put.body)
            #expect(made.name == "bench" && made.sessionsPerDay == nil && made.concurrentSessions == 3)
            let all = try PageBody<TierBody>.fromJSON(try await Self.ask(server, admin, "GET", "tiers").body)
            #expect(
                all.items.map(\.name)
                    == ["free", "starter", "pro", "enterprise", "bench"].sorted { a, b in
                        (all.items.firstIndex { $0.name == a } ?? 0) < (all.items.firstIndex { $0.name == b } ?? 0)
                    })
            #expect(try await Self.ask(server, admin, "DELETE", "tiers/bench").status == 204)
            #expect(try await Self.ask(server, admin, "DELETE", "tiers/bench").status == 404)
            #expect(try await Self.ask(server, admin, "DELETE", "tiers/free").status == 409)
            #expect(try await Self.ask(server, admin, "DELETE", "tiers/enterprise").status == 409)

            let later = Timestamp.now.adding(milliseconds: 86_400_000).text
            let price = #""micros_per_session":1,"micros_per_cpu_second":2,"micros_per_gb_second":3}"#
            #expect(try await Self.ask(server, admin, "POST", "prices", #"{"valid_from":"\#(later)",\#(price)"#).status == 201)
            #expect(try await Self.ask(server, admin, "POST", "prices", #"{"valid_from":"\#(later)",\#(price)"#).status == 409)
            let prices = try PageBody<PriceBody>.fromJSON(try await Self.ask(server, admin, "GET", "prices").body).items
            #expect(prices.count == 2 && prices[0].microsPerSession == 1000 && prices[1].validFrom?.text == later)
            #expect(try await Self.ask(server, admin, "DELETE", "prices/\(later)").status == 204)
            #expect(try await Self.ask(server, admin, "DELETE", "prices/1970-01-01T00:00:00Z").status == 409)
            let audit = try AuditBody.fromJSON(try await Self.ask(server, admin, "GET", "audit?limit=4").body)
            #expect(audit.entries.map(\.action) == ["price.deleted", "price.created", "tier.deleted", "tier.created"])

            for (method, path, body, field) in [
                ("PUT", "tiers/Bad", tier, "name"), ("PUT", "tiers/x", #"{"requests_per_second":0}"#, "requests_per_second"),
                ("PUT", "tiers/x", #"{}"#, "requests_per_second"), ("PUT", "tiers/x", #"{"max_memory_mb":31}"#, "max_memory_mb"),
                ("POST", "prices", #"{"valid_from":"2020-01-01T00:00:00Z",\#(price)"#, "valid_from"),
                ("POST", "prices", #"{"micros_per_session":-1}"#, "micros_per_session"),
                ("POST", "accounts", #"{"name":"x","tier":"none"}"#, "tier"), ("POST", "accounts", #"{"email":"a@b.c"}"#, "name"),
                ("GET", "accounts?cursor=x", "", "cursor"), ("GET", "audit?cursor=x", "", "cursor"),
                ("GET", "quota-requests?status=new", "", "status"),
            ] {
                let answer = try await Self.ask(server, admin, method, path, method == "GET" ? nil : body)
                #expect(answer.status == 400, "\(method) \(path) \(body)")
                #expect(try ErrorBody.fromJSON(answer.body).details?["field"] == .text(field), "\(method) \(path) \(body)")
            }
        }
    }

    @Test func driftIsFoundAndNothingElse() async throws {
        try await ServerProcess.with { server in
            let admin = try Self.admin(server)
            let session = try await server.create(["true"])
            _ = try await server.ended("\(session.id)")
            let clean = try DriftBody.fromJSON(try await Self.ask(server, admin, "GET", "drift").body)
            #expect(clean.ok && clean.checks.count == 6)
            try await server.database.withConnection { connection in
                _ = try await connection.execute("UPDATE ledger SET cost_micros = cost_micros + 1")
            }
            let drifted = try DriftBody.fromJSON(try await Self.ask(server, admin, "GET", "drift").body)
            #expect(!drifted.ok && drifted.checks.filter { $0.differences > 0 }.count == 2)
            #expect(drifted.checks[0].examples == ["\(session.id)"])
        }
    }

    // MARK: Sign-up

    @Test func signUpIsClosedUnlessItIsOpened() async throws {
        try await ServerProcess.with { server in
            let answer = try await server.request("POST", "/v1/waitlist", json: #"{"email":"a@example.com"}"#, authorized: false)
            #expect(answer.status == 403)
        }
    }

    @Test func anOperatorsKeyIsNeverOfAStrangersAccount() async throws {
        try await ServerProcess.with(environment: ["EXECBOX_SIGNUP": "on"]) { server in
            let body = #"{"email":"eve@example.com","name":"operators"}"#
            let stranger = try WelcomeBody.fromJSON(try await server.request("POST", "/v1/waitlist", json: body, authorized: false).body)
            let admin = try Self.admin(server)
            let own = try KeyListBody.fromJSON(
                try await server.request(
                    "GET", "/v1/account/keys", headers: [CurlHeader("Authorization", "Bearer \(try #require(stranger.key))")],
                    authorized: false
                ).body)
            #expect(own.keys.count == 1)
            #expect(try await Self.ask(server, admin, "GET", "accounts").status == 200)
        }
    }

    @Test func whatCannotBeStoredIsRefusedNotFailed() async throws {
        try await ServerProcess.with { server in
            let admin = try Self.admin(server)
            for path in ["accounts?name=%00", "accounts?email=a%00", "accounts?cursor=%00", "quota-requests?cursor=%00"] {
                #expect(try await Self.ask(server, admin, "GET", path).status == 400, "\(path)")
            }
            for path in ["/v1/account/usage/enhanced?label.a=%00", "/v1/account/usage/export?by=session&label.a=%00"] {
                #expect(try await server.request("GET", path).status == 400, "\(path)")
            }
            for path in ["/v1/account/keys/%00", "/v1/account/webhooks/%zz", "/v1/sessions/%00"] {
                #expect(try await server.request("GET", path).status == 404, "\(path)")
            }
            let price = #"{"valid_from":"2099-01-01T00:00:00Z","micros_per_session":1,"micros_per_cpu_second":2,"micros_per_gb_second":3}"#
            #expect(try await Self.ask(server, admin, "POST", "prices", price).status == 201)
            #expect(try await Self.ask(server, admin, "DELETE", "prices/2099-01-01T00%3A00%3A00.000Z").status == 204)
            #expect(throws: (any Error).self) {
                try server.execboxd("tiers", "set", "x", "--requests-per-second", "1", "--max-duration-ms", "9000000000000000000")
            }
        }
    }

    @Test func strangersGetOneAccountAMailboxAndSoManyAnHour() async throws {
        try await ServerProcess.with(environment: ["EXECBOX_SIGNUP": "on", "EXECBOX_SIGNUP_PER_HOUR": "4"]) { server in
            func join(_ body: String) async throws -> CurlResponse {
                try await server.request("POST", "/v1/waitlist", json: body, authorized: false)
            }
            let first = try await join(#"{"email":"Jane.Doe+list@gmail.com","name":"Jane"}"#)
            #expect(first.status == 201 && first.headers["RateLimit-Remaining"] == "3")
            let welcome = try WelcomeBody.fromJSON(first.body)
            let key = try #require(welcome.key)
            #expect(welcome.tier == "free" && welcome.id.hasPrefix("key_"))
            #expect(try await server.status("/v1/account/keys", key: key) == 200)
            let second = try await join(#"{"email":"janedoe@googlemail.com"}"#)
            #expect(second.status == 409)
            #expect(try ErrorBody.fromJSON(second.body).details?["field"] == .text("email"))
            #expect(try await join(#"{"email":"nobody"}"#).status == 400)
            #expect(try await join(#"{"email":"other@example.com"}"#).status == 201)
            let refused = try await join(#"{"email":"more@example.com"}"#)
            #expect(refused.status == 429)
            let error = try ErrorBody.fromJSON(refused.body)
            #expect(error.details?["limit"] == .text("waitlist_per_hour") && error.details?["owner"] == .text("ip"))
            #expect((800...900).contains(refused.headers["Retry-After"].flatMap { Int($0) } ?? 0))
            // Nobody has to believe what a stranger says of its address.
            let forged = try await server.request(
                "POST", "/v1/waitlist", json: #"{"email":"more@example.com"}"#, headers: [CurlHeader("X-Forwarded-For", "203.0.113.9")],
                authorized: false)
            #expect(forged.status == 429)
        }
    }

    @Test func behindATrustedProxyTheClientsOwnAddressCounts() async throws {
        let environment = ["EXECBOX_SIGNUP": "on", "EXECBOX_SIGNUP_PER_HOUR": "1", "TRUSTED_PROXIES": "127.0.0.0/8,::1"]
        try await ServerProcess.with(environment: environment) { server async throws -> Void in
            func join(_ email: String, from address: String) async throws -> Int {
                try await server.request(
                    "POST", "/v1/waitlist", json: #"{"email":"\#(email)"}"#, headers: [CurlHeader("X-Forwarded-For", address)],
                    authorized: false
                ).status
            }
            #expect(try await join("a@example.com", from: "198.51.100.1") == 201)
            #expect(try await join("b@example.com", from: "198.51.100.1") == 429)
            #expect(try await join("b@example.com", from: "198.51.100.2, 198.51.100.1") == 429)
            #expect(try await join("b@example.com", from: "198.51.100.1, 198.51.100.2") == 201)
            // A customer has a whole /64.
            #expect(try await join("c@example.com", from: "2001:db8:1:2::1") == 201)
            #expect(try await join("d@example.com", from: "2001:db8:1:2:ffff::2") == 429)
        }
    }

    @Test func whoWantsMoreAsksAndIsAnswered() async throws {
        try await ServerProcess.with { server in
            let admin = try Self.admin(server)
            let body = #"{"email":"me@example.com","requested_limits":"100 sessions/day","company":"","use_case":"teaching"}"#
            let mine = try await server.request("POST", "/v1/quota-requests", json: body)
            let strangers = try await server.request("POST", "/v1/quota-requests", json: #"{"email":"x@example.com"}"#, authorized: false)
            #expect(mine.status == 201 && strangers.status == 201)
            let request = try QuotaRequestBody.fromJSON(mine.body)
            #expect(request.status == "pending" && request.message?.contains("me@example.com") == true)
            let list = try PageBody<QuotaRequestBody>.fromJSON(
                try await Self.ask(server, admin, "GET", "quota-requests?status=pending").body)
            #expect(list.items.map(\.email) == ["x@example.com", "me@example.com"])
            #expect(list.items[0].accountID == nil && list.items[1].accountID?.hasPrefix("acct_") == true)
            let path = "quota-requests/\(request.id)"
            let decided = try await Self.ask(server, admin, "PATCH", path, #"{"status":"approved"}"#)
            #expect(try QuotaRequestBody.fromJSON(decided.body).status == "approved")
            #expect(try await Self.ask(server, admin, "PATCH", path, #"{"status":"maybe"}"#).status == 400)
            #expect(try await Self.ask(server, admin, "PATCH", "quota-requests/999", #"{"status":"approved"}"#).status == 404)
            let wrong = try await server.request(
                "POST", "/v1/quota-requests", json: body, headers: [CurlHeader("Authorization", "Bearer nonsense")], authorized: false)
            #expect(wrong.status == 401)
        }
    }

    // MARK: Command line

    @Test func theSameIsDoneOnTheHostAndLoggedWithItsUser() async throws {
        try await ServerProcess.with { server in
            let created = try server.execboxd("accounts", "create", "--name", "acme", "--email", "a@example.com", "--tier", "starter")
            let id = try #require(created.split(separator: "\n").last?.split(separator: " ").first.map(String.init))
            #expect(
                try server.execboxd("accounts", "update", id, "--tier", "pro", "--tier-expires", "2099-01-01T00:00:00Z").contains("pro"))
            #expect(try server.execboxd("accounts", "list", "--name", "acme").contains("2099-01-01T00:00:00.000Z"))
            #expect(try server.execboxd("tiers", "set", "huge", "--requests-per-second", "9", "--max-memory-mb", "none").contains("huge"))
            #expect(try server.execboxd("tiers", "list").contains("enterprise"))
            #expect(try server.execboxd("tiers", "delete", "huge").contains("deleted"))
            let price = ["--per-session", "1", "--per-cpu-second", "2", "--per-gb-second", "3", "--valid-from", "2099-01-01T00:00:00Z"]
            #expect(try server.execboxd(arguments: ["prices", "add"] + price).contains("2099"))
            #expect(try server.execboxd("prices", "delete", "2099-01-01T00:00:00Z").contains("deleted"))
            #expect(try server.execboxd("prices", "list").contains("1970-01-01T00:00:00.000Z"))
            #expect(try server.execboxd("keys", "list").contains("PUBLIC ID"))
            let actions = try await server.database.withConnection { connection in
                try await connection.query("SELECT action, actor FROM audit_log WHERE actor LIKE 'operator:%' ORDER BY id").map {
                    try $0.decode(String.self, "action")
                }
            }
            #expect(
                actions.suffix(6)
                    == ["account.created", "account.updated", "tier.created", "tier.deleted", "price.created", "price.deleted"])
        }
    }
}
