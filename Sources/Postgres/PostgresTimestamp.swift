import Glibc

/// A moment as `timestamptz` keeps it: whole microseconds, exactly, as a count from 1970-01-01 00:00 UTC.
///
/// `infinity` and `-infinity` are `distantFuture` and `distantPast`.
package struct PostgresTimestamp: Hashable, Comparable, Sendable {
    /// Negative before 1970.
    package let microsecondsSince1970: Int64

    /// Any value is accepted; what the server cannot store it refuses (SQLSTATE 22008).
    package init(microsecondsSince1970: Int64) {
        self.microsecondsSince1970 = microsecondsSince1970
    }

    /// `infinity`.
    package static let distantFuture = PostgresTimestamp(microsecondsSince1970: .max)

    /// `-infinity`.
    package static let distantPast = PostgresTimestamp(microsecondsSince1970: .min)

    /// This machine's clock, which is not the database's: prefer `now()` in SQL where rows are compared.
    package static var now: PostgresTimestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return PostgresTimestamp(microsecondsSince1970: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000)
    }

    /// Anything finer than a microsecond is dropped. What leaves the range becomes an infinity, and an infinity stays one.
    package static func + (moment: PostgresTimestamp, duration: Duration) -> PostgresTimestamp {
        if moment == .distantFuture || moment == .distantPast { return moment }
        let sum = Int128(moment.microsecondsSince1970) + duration.wholeMicroseconds
        return PostgresTimestamp(microsecondsSince1970: Int64(clamping: sum))
    }

    /// With an infinity the result is very long, not infinite.
    package static func - (later: PostgresTimestamp, earlier: PostgresTimestamp) -> Duration {
        .microseconds(later.microsecondsSince1970) - .microseconds(earlier.microsecondsSince1970)
    }

    package static func < (left: PostgresTimestamp, right: PostgresTimestamp) -> Bool {
        left.microsecondsSince1970 < right.microsecondsSince1970
    }

    // The server counts from 2000-01-01 00:00 UTC and uses the two ends of Int64 for the infinities.
    private static let serverEpoch: Int64 = 946_684_800_000_000

    /// nil past the year 294246, where a count from 1970 no longer fits.
    init?(microsecondsSince2000: Int64) {
        switch microsecondsSince2000 {
        case .max, .min: self.microsecondsSince1970 = microsecondsSince2000
        default:
            let (sum, overflow) = microsecondsSince2000.addingReportingOverflow(Self.serverEpoch)
            guard !overflow else { return nil }
            self.microsecondsSince1970 = sum
        }
    }

    var microsecondsSince2000: Int64 {
        switch self.microsecondsSince1970 {
        case .max, .min: return self.microsecondsSince1970
        default:
            let (difference, overflow) = self.microsecondsSince1970.subtractingReportingOverflow(Self.serverEpoch)
            // Long before 4713 BC: the server answers 22008, "timestamp out of range".
            return overflow ? .min + 1 : difference
        }
    }
}

extension Duration {
    var wholeMicroseconds: Int128 {
        Int128(self.components.seconds) * 1_000_000 + Int128(self.components.attoseconds / 1_000_000_000_000)
    }

    /// Rounded up, so that a deadline is never early, and cut to what `poll(2)` and server settings take.
    var wholeMilliseconds: Int32 {
        let (seconds, attoseconds) = self.components
        guard seconds < 2_000_000 else { return 2_000_000_000 }
        guard seconds >= 0 else { return 0 }
        return Int32(seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
