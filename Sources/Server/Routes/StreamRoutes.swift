import ExecboxAPI
import ExecboxCore
import ExecboxModel
import ExecboxWebSocket
import ExecboxWire
import HTTPTypes
import Hummingbird
import Logging

/// `attach` and `exec` over WebSocket (PROTOCOL §3). Everything that can be refused is refused before the 101, as plain HTTP.
struct StreamRoutes {
    let services: SessionServices
    let sessions: Sessions
    let execs: Execs
    let authenticator: Authenticator

    func attach(_ request: Request, _ context: ServerContext) async throws -> WebSocketAnswer {
        let query = try AttachQuery(request.queryItems())
        let caller = try context.caller
        // Who may only look attaches with stdin=false.
        if query.stdin { try caller.require(.sessionsWrite) }
        let session = try await sessions.session(context.parameter("id"), of: caller)
        return answer(request, context, caller, session, .main, query.stream, sendsStdin: query.stdin, headers: [:])
    }

    func exec(_ request: Request, _ context: ServerContext) async throws -> WebSocketAnswer {
        let query = try ExecQuery(request.queryItems())
        let session = try await sessions.running(context.parameter("id"), of: context.caller)
        let id: String
        if query.command.isEmpty, let known = query.id {
            _ = try await execs.exec(known, in: session)
            id = known
        } else {
            var exec = Execs.Request(command: query.command)
            exec.workDir = query.workDir
            exec.user = query.user
            exec.terminal = query.tty.map { Session.Terminal(columns: $0.columns, rows: $0.rows) }
            exec.timeoutMs = query.timeoutMs
            exec.id = query.id
            exec.isDetached = query.detach
            // Nothing is held across the 101: a client that vanishes now leaves a process that waits 60 s for a reader.
            id = try await execs.start(exec, in: session, fields: .query, isReaderComing: true)
        }
        var headers = HTTPFields()
        if let name = HTTPField.Name("X-Execbox-Exec-Id") { headers[name] = id }
        let target = StreamRelay.Target.exec(id: id, isRetained: query.id != nil || query.detach)
        return answer(request, context, try context.caller, session, target, query.stream, sendsStdin: true, headers: headers)
    }

    private func answer(
        _ request: Request,
        _ context: ServerContext,
        _ caller: Caller,
        _ session: Session,
        _ target: StreamRelay.Target,
        _ query: StreamQuery,
        sendsStdin: Bool,
        headers: HTTPFields
    ) -> WebSocketAnswer {
        var log = context.logger
        log[metadataKey: "requestId"] = "\(context.requestID)"
        log[metadataKey: "session"] = "\(session.id)"
        let relay = StreamRelay(
            services: services,
            sessions: sessions,
            execs: execs,
            session: session,
            target: target,
            query: query,
            sendsStdin: sendsStdin,
            log: log
        )
        let subprotocol = request.offeredSubprotocols.contains(ClientStream.subprotocol) ? ClientStream.subprotocol : nil
        let authenticator = authenticator
        return WebSocketAnswer(subprotocol: subprotocol, headers: headers) { socket in
            await withTaskGroup { group in
                group.addTask { await relay.run(socket) }
                group.addTask {
                    guard (try? await authenticator.waitUntilInvalid(caller)) != nil else { return }
                    await socket.close(.unauthorized)
                }
                await group.next()
                group.cancelAll()
            }
        }
    }
}
