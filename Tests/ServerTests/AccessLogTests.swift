import ExecboxCurl
import ExecboxTestSupport
import Foundation
import Testing

/// What the server writes to standard error.
@Suite struct AccessLogTests {
    @Test func everyAnswerHasOneLineOfJSONAlsoWhenTheServerIsStoppedRightAfter() async throws {
        try await ServerProcess.with(environment: ["EXECBOX_LOG_LEVEL": "info"]) { server in
            let ids = (0..<200).map { #"log-"\#($0)\"# }
            try await withThrowingTaskGroup { group in
                for id in ids {
                    group.addTask {
                        _ = try await server.request("GET", "/v1/sessions/x", headers: [CurlHeader("X-Request-Id", id)])
                    }
                }
                try await group.waitForAll()
            }
            try await server.end()
            let lines = try server.log.split(separator: "\n").map { line in
                try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
            }
            let answers = lines.filter { $0["message"] as? String == "Request" }
            #expect(answers.compactMap { $0["requestId"] as? String }.filter(Set(ids).contains).sorted() == ids.sorted())
            #expect(answers.allSatisfy { $0["at"] is String && $0["level"] as? String == "info" && $0["status"] is String })
        }
    }
}
