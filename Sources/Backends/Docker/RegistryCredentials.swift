import ExecboxSandbox
import FoundationEssentials

/// Reads a Docker `config.json` and finds what a registry wants to see. Credential helpers are not run.
struct RegistryCredentials: Sendable {
    let path: String

    private struct File: Decodable { let auths: [String: Entry]? }

    private struct Entry: Decodable {
        let auth: String?
        let username: String?
        let password: String?
        let identitytoken: String?
    }

    private struct Header: Encodable {
        var username: String?
        var password: String?
        var identitytoken: String?
        var serveraddress: String
    }

    /// The value of `X-Registry-Auth`; nil when the file knows nothing of that registry. Read anew each time, so that a login counts at once.
    func header(for domain: String) throws(BackendError) -> String? {
        let entries: [String: Entry]
        do {
            entries = try JSONDecoder().decode(File.self, from: Data(contentsOf: URL(filePath: path))).auths ?? [:]
        } catch {
            throw .internal("the registry credentials in \(path) cannot be read")
        }
        let names = domain == "docker.io" ? ["https://index.docker.io/v1/", "index.docker.io", "docker.io"] : [domain]
        guard let (server, entry) = names.lazy.compactMap({ name in Self.find(name, in: entries) }).first else { return nil }
        var header = Header(username: entry.username, password: entry.password, serveraddress: server)
        if let auth = entry.auth, !auth.isEmpty {
            guard let data = Data(base64Encoded: auth), case let text = String(decoding: data, as: UTF8.self),
                let colon = text.firstIndex(of: ":")
            else { throw .internal("the credentials of \(server) in \(path) cannot be read") }
            header.username = String(text[..<colon])
            header.password = String(text[text.index(after: colon)...])
        }
        if let token = entry.identitytoken, !token.isEmpty { header.identitytoken = token }
        guard let json = try? JSONEncoder().encode(header) else { throw .internal("the credentials of \(server) cannot be encoded") }
        return json.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
    }

    private static func find(_ name: String, in entries: [String: Entry]) -> (String, Entry)? {
        for key in [name, "https://\(name)", "http://\(name)", "https://\(name)/", "https://\(name)/v1/", "https://\(name)/v2/"] {
            if let entry = entries[key] { return (key, entry) }
        }
        return nil
    }
}
