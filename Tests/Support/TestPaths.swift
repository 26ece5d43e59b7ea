/// Folders of the checkout that tests read.
package enum TestPaths {
    package static let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    package static let migrations = root + "/migrations"
}
