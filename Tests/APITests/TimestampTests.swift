import ExecboxModel
import ExecboxTestRandom
import Testing

@testable import ExecboxAPI

@Suite("Timestamps") struct TimestampTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let text: String
        let microseconds: Int64
        var testDescription: String { text }
    }

    @Test(
        "are written as RFC 3339 in UTC with milliseconds, and read back",
        arguments: [
            Case(text: "1970-01-01T00:00:00.000Z", microseconds: 0),
            Case(text: "1969-12-31T23:59:59.999Z", microseconds: -1000),
            Case(text: "2000-02-29T12:34:56.789Z", microseconds: 951_827_696_789_000),
            Case(text: "2026-11-21T07:39:16.005Z", microseconds: 1_795_246_756_005_000),
            Case(text: "0001-01-01T00:00:00.000Z", microseconds: -62_135_596_800_000_000),
            Case(text: "9999-12-31T23:59:59.999Z", microseconds: 253_402_300_799_999_000),
        ])
    func roundTrips(_ test: Case) {
        #expect(Timestamp(unixMicroseconds: test.microseconds).text == test.text)
        #expect(Timestamp(test.text)?.unixMicroseconds == test.microseconds)
    }

    @Test("cut microseconds instead of rounding them")
    func cutsMicroseconds() {
        #expect(Timestamp(unixMicroseconds: 1999).text == "1970-01-01T00:00:00.001Z")
        #expect(Timestamp(unixMicroseconds: -1).text == "1969-12-31T23:59:59.999Z")
        #expect(Timestamp(unixMicroseconds: .max).text == "9999-12-31T23:59:59.999Z")
        #expect(Timestamp(unixMicroseconds: .min).text == "0001-01-01T00:00:00.000Z")
    }

    @Test("are read with offsets, fractions of any length and leap seconds")
    func readsVariants() {
        #expect(Timestamp("2026-01-01T01:30:00+01:30") == Timestamp("2026-01-01T00:00:00Z"))
        #expect(Timestamp("2025-12-31t23:00:00.5-01:00")?.unixMicroseconds == 1_767_225_600_500_000)
        #expect(Timestamp("1970-01-01T00:00:00.1234567899Z")?.unixMicroseconds == 123_456)
        #expect(Timestamp("2016-12-31T23:59:60Z") == Timestamp("2017-01-01T00:00:00Z"))
    }

    @Test(
        "refuse what is no RFC 3339 time",
        arguments: [
            "", "2026", "2026-02-30T00:00:00Z", "2025-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z",
            "0000-01-01T00:00:00Z",
            "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Z ", "2026-01-01T00:00:00+1:00", "２026-01-01T00:00:00Z",
        ])
    func refuses(_ text: String) {
        #expect(Timestamp(text) == nil)
    }

    @Test("survive writing and reading at random moments")
    func randomRoundTrip() {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<50_000 {
            let milliseconds = Int64.random(in: -62_135_596_800_000...253_402_300_799_999, using: &generator)
            let timestamp = Timestamp(unixMicroseconds: milliseconds * 1000)
            #expect(Timestamp(timestamp.text) == timestamp)
        }
    }
}
