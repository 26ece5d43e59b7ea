/// The operations and enumerations of `openapi/openapi.yaml`, read by the indentation that this file keeps: two blanks before a path, four
/// before a method, six before what belongs to the method.
struct OpenAPIOutline {
    struct Operation: Hashable {
        var method: String
        var path: String
        var id = ""
        /// Marked with `x-not-offered`.
        var isNotOffered = false
    }

    private static let methods: Set<Substring> = ["get", "head", "post", "put", "patch", "delete", "options", "trace"]

    private(set) var operations: [Operation] = []
    private(set) var enumerations: [Set<String>] = []

    init(_ document: String) {
        var isInPaths = false
        var path = ""
        for line in document.split(separator: "\n") {
            let indentation = line.prefix { $0 == " " }.count
            let text = line.dropFirst(indentation)
            if text.hasPrefix("enum: ["), text.hasSuffix("]") {
                let values = text.dropFirst(7).dropLast().split(separator: ",").map { value in String(value.drop { $0 == " " }) }
                enumerations.append(Set(values))
            }
            if indentation == 0 { isInPaths = text == "paths:" }
            guard isInPaths else { continue }
            switch indentation {
            case 2: path = String(text.dropLast())
            case 4:
                guard text.hasSuffix(":"), Self.methods.contains(text.dropLast()) else { continue }
                operations.append(Operation(method: text.dropLast().uppercased(), path: path))
            case 6:
                guard let last = operations.indices.last else { continue }
                if text.hasPrefix("operationId: ") { operations[last].id = String(text.dropFirst(13)) }
                if text == "x-not-offered: true" { operations[last].isNotOffered = true }
            default: continue
            }
        }
    }
}
