import ExecboxModel

/// `POST /v1/sessions`: what a caller asks for, valid in form; a tier's limits and defaults are applied by the service.
public struct CreateSessionBody: Equatable, Sendable, Encodable {
    public static let maxPorts = 64
    public static let maxFiles = 1024
    public static let maxSetupCommands = 256

    /// When the registry is asked for the image.
    public enum Pull: String, Sendable, Codable, CaseIterable { case missing, always }

    public var image: String
    /// Nil for the image's own.
    public var command: [String]?
    public var env: [String: String]?
    public var workDir: String?
    public var user: String?
    public var resources: RequestedResources?
    public var network: NetworkMode?
    public var ports: [PortSpec]?
    public var setup: [String]?
    public var files: [FileBody]?
    public var pull: Pull?
    public var tty: TerminalSize?
    /// False gives main /dev/null; true, the default, keeps its stdin open until StdinClose.
    public var stdin: Bool?
    public var labels: [String: String]?
    public var backend: String?

    public init(image: String) { self.image = image }

    /// Decodes and validates a request's body.
    public init(json body: some Sequence<UInt8>) throws(ExecboxError) {
        var object = try JSONObjectReader.parse(body)
        let image = try object.required("image")
        self.image = try image.string()
        if let problem = FieldForm.problem(image: self.image) { throw image.invalid(problem) }
        // An empty command is what old clients send for "the image's own".
        if let reader = object.optional("command"), reader.value != .array([]) { command = try reader.command() }
        env = try object.optional("env")?.environment()
        // Old clients send "" where they mean the default.
        if let reader = object.optional("workDir"), reader.value != .string("") { workDir = try reader.workingDirectory() }
        if let reader = object.optional("user"), reader.value != .string("") { user = try reader.user() }
        if let reader = object.optional("resources") { resources = try RequestedResources(reader) }
        network = try object.optional("network")?.choice(NetworkMode.self)
        ports = try object.optional("ports").map(Self.ports)
        setup = try object.optional("setup")?.list(max: Self.maxSetupCommands).map { element throws(ExecboxError) in
            try element.text(max: FieldForm.maxArgumentBytes - 1)
        }
        files = try object.optional("files")?.list(max: Self.maxFiles).map { element throws(ExecboxError) in try FileBody(element) }
        pull = try object.optional("pull")?.choice(Pull.self)
        tty = try object.optional("tty")?.terminal()
        stdin = try object.optional("stdin")?.bool()
        labels = try object.optional("labels")?.labels()
        backend = try object.optional("backend")?.text(max: 64)
        try object.finish()
        if let ports, !ports.isEmpty, network != .exposed {
            throw .invalid("ports", "ports are only published with \"network\": \"exposed\"")
        }
    }

    private static func ports(_ reader: JSONReader) throws(ExecboxError) -> [PortSpec] {
        var ports: [PortSpec] = []
        for element in try reader.list(max: maxPorts) {
            var object = try element.object()
            let number = try object.required("container").integer(in: 1...65_535)
            let transport = try object.optional("protocol")?.choice(PortSpec.Transport.self) ?? .tcp
            try object.finish()
            let port = PortSpec(container: UInt16(number), transport: transport)
            guard !ports.contains(port) else { throw element.invalid("is given twice") }
            ports.append(port)
        }
        return ports
    }
}
