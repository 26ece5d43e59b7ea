import Logging

enum TestLog {
    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}
