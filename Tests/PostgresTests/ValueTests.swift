import ExecboxPostgres
import ExecboxTestSupport
import Testing

@Suite("Values", .timeLimit(.minutes(2))) struct ValueTests {
    /// Sends `values` through a column of a type and expects the same back.
    private func roundTrip<Value: PostgresEncodable & PostgresDecodable & Equatable>(
        _ values: [Value], as type: String, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        try await TestDatabase.with { database in
            try await database.withConnection { connection in
                try await connection.execute("CREATE TABLE t (v \(raw: type))")
                for value in values {
                    try await connection.execute("INSERT INTO t VALUES (\(value))")
                    let row = try await connection.queryOne("DELETE FROM t RETURNING v")
                    #expect(try row.decode(Value.self, "v") == value, sourceLocation: sourceLocation)
                    #expect(try row.decode(Value?.self, "v") == .some(value), sourceLocation: sourceLocation)
                }
                try await connection.execute("INSERT INTO t VALUES (\(nil as Value?))")
                let row = try await connection.queryOne("SELECT v FROM t")
                #expect(try row.decode(Value?.self, "v") == nil, sourceLocation: sourceLocation)
                let error = #expect(throws: PostgresError.self, sourceLocation: sourceLocation) { try row.decode(Value.self, "v") }
                #expect(error?.code == .decoding, sourceLocation: sourceLocation)
            }
        }
    }

    @Test("bool comes back as it went") func bool() async throws { try await self.roundTrip([true, false], as: "bool") }

    @Test("int8 comes back as it went, at its ends too")
    func int8() async throws { try await self.roundTrip([0, 1, -1, Int64.max, Int64.min], as: "int8") }

    @Test("Int comes back as it went")
    func int() async throws { try await self.roundTrip([0, 42, Int.max, Int.min], as: "int8") }

    @Test("int4 comes back as it went, at its ends too")
    func int4() async throws { try await self.roundTrip([0, 1, -1, Int32.max, Int32.min], as: "int4") }

    @Test("int2 comes back as it went, at its ends too")
    func int2() async throws { try await self.roundTrip([0, Int32(Int16.max), Int32(Int16.min)], as: "int2") }

    @Test("float8 comes back bit by bit")
    func float8() async throws {
        try await self.roundTrip(
            [0, -0.0, 0.1, .infinity, -.infinity, .greatestFiniteMagnitude, .leastNonzeroMagnitude, .pi], as: "float8")
    }

    @Test("NaN stays NaN")
    func notANumber() async throws {
        try await TestDatabase.with { database in
            try await database.withConnection { connection in
                let value = try await connection.queryOne("SELECT \(Double.nan)").decode(Double.self, at: 0)
                #expect(value.isNaN)
            }
        }
    }

    @Test("text comes back as it went, whatever its letters", arguments: ["text", "varchar"])
    func text(type: String) async throws {
        try await self.roundTrip(["", "x", "it's", "\\", "$1", "ä€𝄞", "line\nline\r\t", "{a,\"b\"}", "NULL"], as: type)
    }

    @Test("text of a megabyte comes back as it went")
    func longText() async throws {
        try await self.roundTrip([String(repeating: "0123456789abcdeä", count: 61_681)], as: "text")
    }

    @Test("text with a zero byte is refused before it is sent, instead of being cut")
    func zeroByte() async throws {
        try await TestDatabase.with { database in
            try await database.withConnection { connection in
                #expect(await code { try await connection.query("SELECT \("a\0b")::text") } == .invalidParameter)
                let rows = try await connection.query("SELECT 1")
                #expect(rows.count == 1)
            }
        }
    }

    @Test("name is read as String")
    func name() async throws { try await self.roundTrip(["pg_class"], as: "name") }

    @Test("bytea comes back byte by byte")
    func bytea() async throws {
        let random = (0..<50).map { _ in (0..<Int.random(in: 0..<300)).map { _ in UInt8.random(in: .min ... .max) } }
        try await self.roundTrip([[], [0], [0, 0, 0], Array(UInt8.min...UInt8.max)] + random, as: "bytea")
    }

    @Test("timestamptz keeps every microsecond from 4713 BC to infinity")
    func timestamptz() async throws {
        let moments: [Int64] = [
            0, 1, -1, 946_684_800_000_000, 946_684_799_999_999, 253_402_300_799_999_999, -62_135_596_800_000_001, -210_866_803_200_000_000,
        ]
        try await self.roundTrip(
            moments.map { PostgresTimestamp(microsecondsSince1970: $0) } + [.distantFuture, .distantPast], as: "timestamptz")
    }

    @Test("timestamptz means the moment that it says")
    func timestampMeaning() async throws {
        try await TestDatabase.with { database in
            try await database.withConnection { connection in
                let row = try await connection.queryOne("SELECT timestamptz '2026-11-21 08:00:00.123456+01'")
                #expect(try row.decode(PostgresTimestamp.self, at: 0).microsecondsSince1970 == 1_795_244_400_123_456)
                let future = try await connection.queryOne("SELECT timestamptz '294276-12-31 00:00:00+00'")
                #expect(await code { try future.decode(PostgresTimestamp.self, at: 0) } == .decoding)
                let beyond = PostgresTimestamp(microsecondsSince1970: .min + 2)
                #expect(await code { try await connection.query("SELECT \(beyond)") } == .server(SQLState(rawValue: "22008")))
            }
        }
    }

    @Test("jsonb and json are read as the text they are")
    func json() async throws {
        try await TestDatabase.with { database in
            try await database.withConnection { connection in
                let text = #"{"a": [1, "ä\n"]}"#
                let row = try await connection.queryOne("SELECT \(text)::jsonb AS b, \(text)::json AS j, NULL::jsonb AS n")
                #expect(try row.decode(String.self, "b") == text)
                #expect(try row.decode(String.self, "j") == text)
                #expect(try row.decode(String?.self, "n") == nil)
            }
        }
    }

    @Test("uuid is read as lower-case text and written from text")
    func uuid() async throws {
        try await self.roundTrip(["00000000-0000-0000-0000-000000000000", "0123abcd-4567-89ef-0123-456789abcdef"], as: "uuid")
    }

    @Test("text[] comes back as it went")
    func textArray() async throws {
        try await self.roundTrip([[], [""], ["a", "b,c", "\"{}\"", "NULL", "ä"], Array(repeating: "x", count: 1_000)], as: "text[]")
    }

    @Test("int8[] comes back as it went")
    func int8Array() async throws { try await self.roundTrip([[], [0], [Int64.min, -1, Int64.max]], as: "int8[]") }

    @Test("an array is a value like others in a condition")
    func arrayCondition() async throws {
        try await TestDatabase.with { database in
            try await database.withConnection { connection in
                let rows = try await connection.query("SELECT n FROM generate_series(1, 9) n WHERE n = ANY(\([2, 3, 99])) ORDER BY n")
                #expect(try rows.map { try $0.decode(Int.self, "n") } == [2, 3])
                let null = try await connection.queryOne("SELECT ARRAY['a', NULL]")
                #expect(await code { try null.decode([String].self, at: 0) } == .decoding)
                let square = try await connection.queryOne("SELECT ARRAY[ARRAY['a'], ARRAY['b']]")
                #expect(await code { try square.decode([String].self, at: 0) } == .decoding)
            }
        }
    }

    @Test("a column of a type outside the list is refused by name")
    func unknownType() async throws {
        try await TestDatabase.with { database in
            try await database.withConnection { connection in
                let row = try await connection.queryOne("SELECT 1.5::numeric AS price")
                let error = #expect(throws: PostgresError.self) { try row.decode(Double.self, "price") }
                #expect(error?.code == .decoding)
                #expect(error?.debugDescription.contains("price") == true)
            }
        }
    }

    @Test("a type is never read as another", arguments: ["1::int8", "'x'::text", "true", "now()", "'\\x00'::bytea", "1::float8"])
    func mismatch(expression: String) async throws {
        try await TestDatabase.with { database in
            try await database.withConnection { connection in
                let row = try await connection.queryOne("SELECT \(raw: expression) AS v")
                #expect(throws: PostgresError.self) { try row.decode(Int32.self, "v") }
                #expect(throws: PostgresError.self) { try row.decode([String].self, "v") }
            }
        }
    }

    @Test("a row is read as a tuple of the same size only")
    func tuples() async throws {
        try await TestDatabase.with { database in
            try await database.withConnection { connection in
                let row = try await connection.queryOne("SELECT 1::int8 AS a, NULL::text AS b, true AS c")
                let (a, b, c) = try row.decode((Int, String?, Bool).self)
                #expect((a, b, c) == (1, nil, true))
                #expect(await code { try row.decode((Int, String?).self) } == .decoding)
            }
        }
    }

    @Test("a column that is missing or there twice is refused")
    func columns() async throws {
        try await TestDatabase.with { database in
            try await database.withConnection { connection in
                let row = try await connection.queryOne("SELECT 1::int8 AS a, 2::int8 AS a, 3::int8 AS b")
                #expect(row.columnNames == ["a", "a", "b"])
                #expect(await code { try row.decode(Int.self, "a") } == .decoding)
                #expect(await code { try row.decode(Int.self, "z") } == .decoding)
                #expect(await code { try row.decode(Int.self, at: 3) } == .decoding)
                #expect(try row.decode(Int.self, at: 1) == 2)
                let b: Int = try row.decode("b")
                #expect(b == 3)
            }
        }
    }

    @Test("types with a raw value are parameters and columns by declaration")
    func rawValues() async throws {
        try await TestDatabase.with { database in
            try await database.withConnection { connection in
                let row = try await connection.queryOne("SELECT \(Colour.red)::text AS good, 'mauve' AS bad")
                #expect(try row.decode(Colour.self, "good") == .red)
                #expect(await code { try row.decode(Colour.self, "bad") } == .decoding)
            }
        }
    }

    private enum Colour: String, PostgresEncodable, PostgresDecodable {
        case red
    }
}
