import Logging

/// Brings a database's schema up to date from a directory of `NNNN_name.sql` files.
///
/// Each file runs once, in the order of the numbers, in a transaction of its own with the row that remembers it. An advisory lock lets only
/// one process do this at a time; the others wait and then find nothing to do.
package struct Migrator: Sendable {
    private let directory: String
    private let logger: Logger

    // "execbox\0" as a number: any constant would do, as long as it never changes.
    private static let lock: Int64 = 0x6578_6563_626f_7800

    /// A migration that is in the database.
    package struct Applied: Hashable, Sendable {
        /// The number its file begins with.
        package let version: Int

        /// The file's name without `.sql`.
        package let name: String
    }

    /// The directory is read anew by each call.
    package init(directory: String, logger: Logger) {
        self.directory = directory
        self.logger = logger
    }

    /// Applies what is missing; returns what this call applied, in order. Waits up to `patience` for another process that is at it.
    package func migrate(
        _ configuration: PostgresConfiguration, patience: Duration = .seconds(300)
    ) async throws(MigrationError) -> [Applied] {
        let files = try await self.files()
        var configuration = configuration
        // A schema change takes as long as it takes; and waiting for the lock is no statement that should be killed.
        configuration.statementTimeout = nil
        let connection = try await self.connect(configuration)
        let result = await self.migrate(files, on: connection, patience: patience)
        // The lock belongs to the session and goes with it, however this ended.
        await connection.close()
        return try result.get()
    }

    /// What `migrate` would apply. Changes nothing, not even in an empty database.
    package func pending(_ configuration: PostgresConfiguration) async throws(MigrationError) -> [Applied] {
        let files = try await self.files()
        let connection = try await self.connect(configuration)
        let records: Result<[Record], PostgresError>
        do throws(PostgresError) {
            let exists = try await connection.queryOne("SELECT to_regclass('execbox_migrations') IS NOT NULL").decode(Bool.self, at: 0)
            records = .success(exists ? try await self.records(on: connection) : [])
        } catch {
            records = .failure(error)
        }
        await connection.close()
        switch records {
        case .success(let records): return try Self.pending(files, records).map { Applied(version: $0.version, name: $0.name) }
        case .failure(let error): throw .database(error)
        }
    }

    /// A row of the table.
    struct Record: Hashable, Sendable {
        let version: Int
        let name: String
        let checksum: [UInt8]
    }

    /// Which files are to be applied, if the ones that were still are what they were.
    static func pending(_ files: [MigrationFile], _ records: [Record]) throws(MigrationError) -> [MigrationFile] {
        let byVersion = Dictionary(uniqueKeysWithValues: files.map { ($0.version, $0) })
        for record in records {
            guard let file = byVersion[record.version] else { throw .missing(record.name) }
            guard file.checksum == record.checksum, file.name == record.name else { throw .changed(record.name) }
        }
        let applied = Set(records.map(\.version))
        let pending = files.filter { !applied.contains($0.version) }
        if let last = applied.max(), let early = pending.first(where: { $0.version < last }) { throw .outOfOrder(early.name) }
        return pending
    }

    private func migrate(
        _ files: [MigrationFile], on connection: PostgresConnection, patience: Duration
    ) async -> Result<[Applied], MigrationError> {
        do throws(PostgresError) {
            try await connection.execute("SELECT pg_advisory_lock(\(Self.lock))", timeout: patience)
            try await connection.execute(
                """
                CREATE TABLE IF NOT EXISTS execbox_migrations (
                    version int4 PRIMARY KEY, name text NOT NULL, checksum bytea NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
                )
                """)
            let records = try await self.records(on: connection)
            do throws(MigrationError) {
                var applied: [Applied] = []
                for file in try Self.pending(files, records) {
                    try await self.apply(file, on: connection)
                    applied.append(Applied(version: file.version, name: file.name))
                    self.logger.debug("migration applied", metadata: ["migration": "\(file.name)"])
                }
                return .success(applied)
            } catch {
                return .failure(error)
            }
        } catch {
            return .failure(.database(error))
        }
    }

    private func apply(_ file: MigrationFile, on connection: PostgresConnection) async throws(MigrationError) {
        do throws(PostgresError) {
            let long = Duration.seconds(24 * 3600)
            try await connection.runScript("BEGIN")
            let before = try await self.transaction(on: connection)
            try await connection.runScript(file.script, timeout: long)
            // A COMMIT in the file leaves no transaction, or another one: then the row below would not stand or fall with the file.
            guard try await self.transaction(on: connection) == before else { throw PostgresError(.unsupported, "COMMIT") }
            try await connection.execute(
                "INSERT INTO execbox_migrations (version, name, checksum) VALUES (\(file.version), \(file.name), \(file.checksum))")
            _ = try await connection.runUninterrupted("COMMIT", timeout: long)
        } catch {
            _ = await connection.reset()
            if error.code == .unsupported { throw .endsTransaction(file.name) }
            throw .failed(file.name, error)
        }
    }

    private func transaction(on connection: PostgresConnection) async throws(PostgresError) -> String {
        try await connection.queryOne("SELECT pg_current_xact_id()::text").decode(String.self, at: 0)
    }

    private func records(on connection: PostgresConnection) async throws(PostgresError) -> [Record] {
        var records: [Record] = []
        for row in try await connection.query("SELECT version, name, checksum FROM execbox_migrations ORDER BY version") {
            let (version, name, checksum) = try row.decode((Int, String, [UInt8]).self)
            records.append(Record(version: version, name: name, checksum: checksum))
        }
        return records
    }

    private func connect(_ configuration: PostgresConfiguration) async throws(MigrationError) -> PostgresConnection {
        do throws(PostgresError) {
            return try await PostgresConnection.connect(configuration, logger: self.logger)
        } catch {
            throw .database(error)
        }
    }

    private func files() async throws(MigrationError) -> [MigrationFile] {
        let directory = self.directory
        let result: Result<[MigrationFile], MigrationError>
        do throws(PostgresError) {
            result = try await DedicatedThread.run("migrations") {
                do throws(MigrationError) { return .success(try MigrationFile.read(directory: directory)) } catch { return .failure(error) }
            }
        } catch {
            throw .database(error)
        }
        return try result.get()
    }
}
