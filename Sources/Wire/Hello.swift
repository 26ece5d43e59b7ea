/// What an agent says first on every connection.
public struct Hello: Equatable, Sendable {
    /// Random, new at each start of the agent: another one on a started session means the sandbox was restarted behind our back.
    public static let bootIDLength = 16

    public var protocolVersion: UInt16
    public var agentVersion: String
    public var bootID: [UInt8]
    /// Main has been started by this agent, whether it still runs or not.
    public var mainStarted: Bool

    public init(protocolVersion: UInt16 = AgentMessage.protocolVersion, agentVersion: String, bootID: [UInt8], mainStarted: Bool) {
        self.protocolVersion = protocolVersion
        self.agentVersion = agentVersion
        self.bootID = bootID
        self.mainStarted = mainStarted
    }

    init(from reader: inout FieldReader<some Collection<UInt8>>) throws(WireError) {
        protocolVersion = try reader.uint16()
        agentVersion = try reader.string("agent version", max: 64)
        bootID = try reader.bytes(max: Self.bootIDLength)
        guard bootID.count == Self.bootIDLength else { throw .invalidField("boot id") }
        mainStarted = try reader.bool("main started")
    }

    func write(to writer: inout FieldWriter) {
        writer.integer(protocolVersion)
        writer.string(agentVersion)
        writer.data(bootID)
        writer.bool(mainStarted)
    }
}
