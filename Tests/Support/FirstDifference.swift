/// Where two long byte strings begin to differ; nil where they are the same.
///
/// For expectations on long output: a failed `==` would have the testing library compute the whole edit distance, which takes for ever.
package func firstDifference(_ actual: [UInt8], _ expected: [UInt8]) -> String? {
    guard actual != expected else { return nil }
    let index = zip(actual, expected).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? min(actual.count, expected.count)
    func text(_ bytes: [UInt8]) -> String { String(decoding: bytes[index...].prefix(40), as: UTF8.self) }
    return "at byte \(index) of \(expected.count): \"\(text(actual))\" instead of \"\(text(expected))\" (\(actual.count) bytes)"
}
