/// What a backend knows of a sandbox.
package enum SandboxState: Equatable, Sendable {
    case starting
    case running
    case exited(code: Int32, outOfMemory: Bool)
    case gone
}
