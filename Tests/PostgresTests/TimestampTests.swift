import ExecboxPostgres
import Testing

@Suite("A timestamp") struct TimestampTests {
    @Test("moves by durations, exactly to the microsecond")
    func arithmetic() {
        let moment = PostgresTimestamp(microsecondsSince1970: 1_000)
        #expect((moment + .microseconds(-1_001)).microsecondsSince1970 == -1)
        #expect(moment + .seconds(86_400) - moment == .seconds(86_400))
    }

    @Test("never traps at the ends of time")
    func infinities() {
        #expect(PostgresTimestamp.distantFuture + .seconds(1) == .distantFuture)
        #expect(PostgresTimestamp.distantPast + .seconds(1) == .distantPast)
        #expect(PostgresTimestamp.now + .seconds(Int64.max / 2) == .distantFuture)
        #expect(PostgresTimestamp.distantFuture - .distantPast > .zero)
        #expect(PostgresTimestamp.distantPast < .now)
    }
}
