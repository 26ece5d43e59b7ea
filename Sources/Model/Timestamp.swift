/// A moment in Unix microseconds; in JSON it is RFC 3339 in UTC with milliseconds, cut, not rounded.
public struct Timestamp: Hashable, Comparable, Sendable {
    public var unixMicroseconds: Int64

    public init(unixMicroseconds: Int64) { self.unixMicroseconds = unixMicroseconds }

    /// - Returns: nil unless `text` is RFC 3339 with `Z` or a numeric offset and a year from 0001 on. A leap second counts as the next second.
    public init?(_ text: String) {
        var digits = DigitReader(Array(text.utf8))
        guard let year = digits.number(4), digits.take("-"), let month = digits.number(2), digits.take("-"), let day = digits.number(2),
            digits.take("T") || digits.take("t") || digits.take(" "),
            let hour = digits.number(2), digits.take(":"), let minute = digits.number(2), digits.take(":"), let second = digits.number(2),
            year >= 1, (1...12).contains(month), day >= 1, day <= Self.length(ofMonth: month, year: year),
            hour <= 23, minute <= 59, second <= 60
        else { return nil }
        var microseconds: Int64 = 0
        if digits.take(".") {
            guard let fraction = digits.fraction() else { return nil }
            microseconds = fraction
        }
        var offset: Int64 = 0
        if !digits.take("Z") && !digits.take("z") {
            let isEast = digits.take("+")
            guard isEast || digits.take("-"), let hours = digits.number(2), digits.take(":"), let minutes = digits.number(2),
                hours <= 23, minutes <= 59
            else { return nil }
            offset = (hours * 60 + minutes) * (isEast ? 60 : -60)
        }
        guard digits.isAtEnd else { return nil }
        let seconds = Self.daysSinceEpoch(year: year, month: month, day: day) * 86_400 + hour * 3600 + minute * 60 + second - offset
        unixMicroseconds = seconds * 1_000_000 + microseconds
    }

    /// `2026-01-31T23:59:59.123Z`. Moments outside the years 1 to 9999 are written as the nearest one inside.
    public var text: String {
        let clamped = min(max(unixMicroseconds, -62_135_596_800_000_000), 253_402_300_799_999_999)
        let seconds = Self.floorDivide(clamped, 1_000_000)
        let milliseconds = (clamped - seconds * 1_000_000) / 1000
        let days = Self.floorDivide(seconds, 86_400)
        let secondOfDay = seconds - days * 86_400
        let (year, month, day) = Self.date(daysSinceEpoch: days)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(24)
        func append(_ number: Int64, _ width: Int, _ separator: StaticString) {
            var divisor: Int64 = 1
            for _ in 1..<width { divisor *= 10 }
            var rest = number
            for _ in 0..<width {
                bytes.append(UInt8(truncatingIfNeeded: 48 + rest / divisor))
                rest %= divisor
                divisor /= 10
            }
            bytes.append(separator.utf8Start.pointee)
        }
        append(year, 4, "-")
        append(month, 2, "-")
        append(day, 2, "T")
        append(secondOfDay / 3600, 2, ":")
        append(secondOfDay / 60 % 60, 2, ":")
        append(secondOfDay % 60, 2, ".")
        append(milliseconds, 3, "Z")
        return String(decoding: bytes, as: UTF8.self)
    }

    public static func < (left: Self, right: Self) -> Bool { left.unixMicroseconds < right.unixMicroseconds }

    private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
        value / divisor - (value % divisor < 0 ? 1 : 0)
    }

    private static func length(ofMonth month: Int64, year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    // Both ways count years from March, so that the leap day is a year's last, in eras of 400 years (146 097 days).

    private static func daysSinceEpoch(year: Int64, month: Int64, day: Int64) -> Int64 {
        let marchYear = month > 2 ? year : year - 1
        let monthFromMarch = (month + 9) % 12
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
        return marchYear * 365 + floorDivide(marchYear, 4) - floorDivide(marchYear, 100) + floorDivide(marchYear, 400) + dayOfYear - 719_468
    }

    private static func date(daysSinceEpoch: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let days = daysSinceEpoch + 719_468
        let era = floorDivide(days, 146_097)
        let dayOfEra = days - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (era * 400 + yearOfEra + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }

    private struct DigitReader {
        private let bytes: [UInt8]
        private var index = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        var isAtEnd: Bool { index == bytes.count }

        mutating func take(_ character: StaticString) -> Bool {
            guard index < bytes.count, bytes[index] == character.utf8Start.pointee else { return false }
            index += 1
            return true
        }

        private mutating func digit() -> Int64? {
            guard index < bytes.count, bytes[index] >= 48, bytes[index] <= 57 else { return nil }
            defer { index += 1 }
            return Int64(bytes[index]) - 48
        }

        mutating func number(_ width: Int) -> Int64? {
            var value: Int64 = 0
            for _ in 0..<width {
                guard let digit = digit() else { return nil }
                value = value * 10 + digit
            }
            return value
        }

        /// Digits behind the point as microseconds; further digits are dropped.
        mutating func fraction() -> Int64? {
            var value: Int64 = 0
            var scale: Int64 = 100_000
            guard let first = digit() else { return nil }
            value = first * scale
            while let next = digit() {
                scale /= 10
                value += next * scale
            }
            return value
        }
    }
}

extension Timestamp: CustomStringConvertible {
    public var description: String { text }
}

extension Timestamp: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let timestamp = Self(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\(text) is no RFC 3339 time")
        }
        self = timestamp
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

extension Timestamp {
    /// Stays at the type's limits instead of overflowing.
    public func adding(milliseconds: Int64) -> Self {
        let (product, overflowed) = milliseconds.multipliedReportingOverflow(by: 1000)
        guard !overflowed else { return Self(unixMicroseconds: milliseconds < 0 ? .min : .max) }
        let (sum, overflowedToo) = unixMicroseconds.addingReportingOverflow(product)
        return Self(unixMicroseconds: overflowedToo ? (product < 0 ? .min : .max) : sum)
    }
}
