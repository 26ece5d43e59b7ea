import ExecboxAPI
import Testing

@Suite struct CSVRowTests {
    @Test(arguments: [
        (["a", "b"], "a,b\r\n"), (["", ""], ",\r\n"), (["a,b", "c\"d", "e\nf"], "\"a,b\",\"c\"\"d\",\"e\nf\"\r\n"),
        (["=1+1", "+1", "-1", "@x", "\tx", "\rx"], "'=1+1,'+1,'-1,'@x,'\tx,\"'\rx\"\r\n"),
        (["\r\nx", "é", "x=1"], "\"'\r\nx\",é,x=1\r\n"),
    ])
    func fieldsAreQuotedAndFormulasDisarmed(fields: [String], line: String) {
        #expect(CSVRow(fields).bytes == Array(line.utf8))
    }

    @Test func numbersStandAsTheyAre() {
        var row = CSVRow(["day"])
        row.append(-5)
        row.append(Int64.max)
        #expect(row.bytes == Array("day,-5,9223372036854775807\r\n".utf8))
    }
}
