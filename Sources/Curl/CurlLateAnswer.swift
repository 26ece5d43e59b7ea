/// A complete HTTP/1 answer found in a connection's receive buffer after a write had failed.
struct CurlLateAnswer {
    let status: Int
    let headers: [CurlHeader]
    let body: [UInt8]

    /// Nil unless the bytes hold a whole final answer, framed by its length, by chunks, or by the end of the connection.
    init?(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while let end = rest.firstRange(of: [13, 10, 13, 10]) {
            var lines = String(decoding: rest[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
            rest = rest[end.upperBound...]
            let words = lines.removeFirst().split(separator: " ")
            guard words.count >= 2, words[0].hasPrefix("HTTP/1."), words[1].utf8.count == 3, let status = Int(words[1]) else { return nil }
            if status < 200 { continue }
            let headers = lines.compactMap { line -> CurlHeader? in
                guard let colon = line.firstIndex(of: ":") else { return nil }
                return CurlHeader(String(line[..<colon]), String(line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }))
            }
            guard let body = Self.body(Array(rest), headers: headers) else { return nil }
            self.status = status
            self.headers = headers
            self.body = body
            return
        }
        return nil
    }

    private static func body(_ bytes: [UInt8], headers: [CurlHeader]) -> [UInt8]? {
        if headers["Transfer-Encoding"] != nil { return unchunked(bytes) }
        guard let text = headers["Content-Length"] else { return bytes }
        guard let length = Int(text), length >= 0, length <= bytes.count else { return nil }
        return Array(bytes[..<length])
    }

    private static func unchunked(_ bytes: [UInt8]) -> [UInt8]? {
        var body: [UInt8] = []
        var rest = bytes[...]
        while let lineEnd = rest.firstRange(of: [13, 10]) {
            let digits = String(decoding: rest[..<lineEnd.lowerBound].prefix { $0 != UInt8(ascii: ";") }, as: UTF8.self)
            guard let length = Int(digits, radix: 16), length >= 0 else { return nil }
            if length == 0 { return body }
            rest = rest[lineEnd.upperBound...]
            guard rest.count >= length + 2 else { return nil }
            body.append(contentsOf: rest.prefix(length))
            rest = rest.dropFirst(length + 2)
        }
        return nil
    }
}
