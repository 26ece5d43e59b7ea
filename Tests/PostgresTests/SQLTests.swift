import ExecboxPostgres
import Testing

@Suite("A statement") struct SQLTests {
    @Test("keeps values out of its text")
    func valuesBecomeParameters() {
        let sql: SQL = "SELECT \(1) WHERE name = \("x'; DROP TABLE t; --") AND n = \(nil as Int?)"
        #expect(sql.text == "SELECT $1 WHERE name = $2 AND n = $3")
        #expect(sql.parameters.map(\.type) == [.int8, .unspecified, .int8])
        #expect(sql.parameters[2].bytes == nil)
    }

    @Test("renumbers the parameters of a statement spliced into it")
    func splicing() {
        let condition: SQL = "a = \(1) OR b = \(2)"
        let sql: SQL = "SELECT \(0) WHERE (\(condition)) AND c = \(3)"
        #expect(sql.text == "SELECT $1 WHERE (a = $2 OR b = $3) AND c = $4")
        #expect(sql.parameters.map(\.bytes?.last) == [0, 1, 2, 3])
    }

    @Test("joins parts with a separator")
    func joining() {
        #expect(SQL.joined(["a = \(1)", "b = \(2)"], separator: " AND ").text == "a = $1 AND b = $2")
        #expect(SQL.joined([], separator: ", ").text == "")
    }

    @Test("quotes identifiers")
    func identifiers() {
        let sql: SQL = #"LISTEN \#(identifier: #"a"b"#)"#
        #expect(sql.text == #"LISTEN "a""b""#)
    }

    @Test("shows its text and never its values")
    func description() {
        let secret = "hunter2"
        let sql: SQL = "SELECT \(secret)"
        #expect("\(sql)" == "SELECT $1")
    }
}
