import ExecboxModel

// The raw values are the JSON texts.
extension SessionStatus: Codable {}
extension EndReason: Codable {}
extension NetworkMode: Codable {}
extension Scope: Codable {}
extension PortSpec.Transport: Codable {}

extension PortSpec: Codable {
    private enum CodingKeys: String, CodingKey {
        case container
        case transport = "protocol"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            container: try container.decode(UInt16.self, forKey: .container),
            transport: try container.decodeIfPresent(Transport.self, forKey: .transport) ?? .tcp)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(self.container, forKey: .container)
        try container.encode(transport, forKey: .transport)
    }
}

extension ExecboxError.Detail: Codable {
    /// Takes whatever a newer server may send: what is neither text nor a whole number becomes its nearest text.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Int64.self) {
            self = .number(number)
        } else if let text = try? container.decode(String.self) {
            self = .text(text)
        } else if let number = try? container.decode(Double.self) {
            self = .text("\(number)")
        } else if let flag = try? container.decode(Bool.self) {
            self = .text("\(flag)")
        } else {
            self = .text("…")
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let text): try container.encode(text)
        case .number(let number): try container.encode(number)
        }
    }
}
