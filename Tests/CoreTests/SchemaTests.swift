import ExecboxModel
import ExecboxPostgres
import ExecboxTestSupport
import Foundation
import Testing

@testable import ExecboxCore

@Suite struct SchemaTests {
    /// What 0001 could hold of accounts, keys and sessions.
    private static let firstRows = """
        INSERT INTO accounts (id, name, tier) VALUES ('acct_00000000000000000000000001', 'old', 'enterprise');
        INSERT INTO api_keys (id, account_id, public_id, secret_hash, name) VALUES
            ('key_00000000000000000000000001', 'acct_00000000000000000000000001', 'abcdefghijkl', decode(repeat('ab', 32), 'hex'), 'old key');
        INSERT INTO sandboxes (id, backend, node) VALUES ('sb_old', 'docker', 'node-1');
        INSERT INTO sessions (id, account_id, key_id, sandbox_id, backend, node, status, reason, image, pull, command, env_names, work_dir,
                user_name, labels, cpu_millis, memory_mb, disk_mb, pids, network, opens_stdin, ended_at, duration_ms, cpu_ms, cost_micros)
            VALUES ('sess_00000000000000000000000001', 'acct_00000000000000000000000001', 'key_00000000000000000000000001', 'sb_old', 'docker',
                'node-1', 'stopped', 'exited', 'i', 'missing', '{}', '{}', '/', '', '{"a":"b"}', 1, 32, 1, 1, 'none', false, now(), 5, 6, 1234);
        """

    @Test func everyEarlierVersionIsBroughtUpWithItsRows() async throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: TestPaths.migrations).filter { $0.hasSuffix(".sql") }.sorted()
        let fromEmpty = try await TestDatabase.with(migrations: TestPaths.migrations) { try await Self.shape(of: $0) }
        #expect(fromEmpty.count > 60)
        for count in 1..<files.count {
            try await TestDatabase.with { database in
                let folder = FileManager.default.temporaryDirectory.appendingPathComponent("execbox-schema-\(UUID().uuidString)")
                try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
                defer { try? FileManager.default.removeItem(at: folder) }
                for file in files.prefix(count) {
                    try FileManager.default.copyItem(atPath: "\(TestPaths.migrations)/\(file)", toPath: folder.path + "/\(file)")
                }
                _ = try await Migrator(directory: folder.path, logger: database.logger).migrate(database.configuration)
                try await database.withConnection { try await $0.runScript(Self.firstRows) }
                let applied = try await Migrator(directory: TestPaths.migrations, logger: database.logger).migrate(database.configuration)
                #expect(applied.count == files.count - count)
                #expect(try await Self.shape(of: database) == fromEmpty)
                try await database.withPool { pool in
                    let key = try #require(try await KeyStore(database: pool).key(publicID: "abcdefghijkl"))
                    #expect(key.isValid(at: .now) && key.scopes == Scope.standard && key.name == "old key")
                    let account = try #require(try await AccountStore(database: pool).account(key.accountID))
                    // Who had no limits has none now.
                    #expect(account.tier.name == "enterprise" && account.concurrentSessions == nil)
                    // 0004 books what had ended before.
                    guard count < 4 else { return }
                    for subject in [.account, .key(key.id), .label(name: "a", value: "b")] as [UsageSubject] {
                        let days = try await UsageStore(database: pool).days(1, of: account.id, subject)
                        #expect(days.first?.costMicros == 1234 && days.first?.executions == 1)
                        let hours = try await UsageStore(database: pool).hours(of: account.id, subject)
                        #expect(hours.reduce(0) { $0 + $1.cpuMs } == 6)
                    }
                }
            }
        }
    }

    @Test func everyValueTheCodeKnowsCanBeStored() async throws {
        try await StoreFixture.with { fixture in
            for scope in Scope.allCases {
                _ = try await fixture.pool.execute(
                    "UPDATE api_keys SET scopes = \([scope.rawValue]) WHERE id = \(fixture.caller.keyID.description)")
            }
            try await fixture.pool.withTransaction { transaction in
                for action in AuditEntry.Action.allCases {
                    for actor in [AuditActor.key(fixture.caller.keyID), .operator("somebody else"), .system] {
                        try await AuditStore.append(
                            action, of: "x", account: fixture.caller.accountID, by: actor, changes: [:], in: transaction)
                    }
                }
            }
            for event in WebhookEvent.allCases {
                let store = WebhookStore(database: fixture.pool)
                let hook = Webhook(
                    id: .make(unixMilliseconds: 1), accountID: fixture.caller.accountID, url: "https://h/", events: [event], isActive: true,
                    createdAt: .now)
                let made = try await store.insert(hook, secretSealed: [1], most: 100, by: .system, idempotency: nil)
                #expect(made.events == [event])
            }
            for status in QuotaRequest.Status.allCases {
                let store = QuotaRequestStore(database: fixture.pool)
                let request = try await store.insert(QuotaRequest(email: "a@b.c"), by: .system, idempotency: nil)
                #expect(try await store.decide(request.id, status, by: .system)?.status == status)
            }
            for reason in [EndReason.exited, .budgetExceeded, .diskExceeded, .idleTimeout, .imageError] {
                let session = try await fixture.insertRunning()
                #expect(try await fixture.finish(session, reason, elapsedMs: 1)?.reason == reason)
            }
            for actor in ["", "key:", "operator:", "nobody"] {
                await #expect(throws: PostgresError.self) {
                    _ = try await fixture.pool.execute(
                        """
                        INSERT INTO audit_log (account_id, actor, action, target)
                        VALUES (\(fixture.caller.accountID.description), \(actor), 'key.created', 'x')
                        """)
                }
            }
        }
    }

    /// Every column with its type and default, and every constraint and index by its definition.
    private static func shape(of database: TestDatabase) async throws -> [String] {
        try await database.withConnection { connection in
            let rows = try await connection.query(
                """
                SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) AS line
                FROM information_schema.columns WHERE table_schema = 'public'
                UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
                    WHERE connamespace = 'public'::regnamespace
                UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
                ORDER BY 1
                """
            )
            return try rows.map { try $0.decode(String.self, "line") }
        }
    }
}
