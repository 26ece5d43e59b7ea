import ExecboxModel
import ExecboxPostgres
import FoundationEssentials

extension SessionStore {
    /// Every column a `Session` has, times as exact microseconds.
    static let columns = """
        sessions.id, account_id, sandbox_id, backend, node, status, reason, error, progress, image, pull, image_digest, stop_signal, command,
        env_names, work_dir, user_name, labels::text AS labels, cpu_millis, memory_mb, disk_mb, pids, timeout_ms, idle_timeout_ms,
        disk_read_bps, disk_write_bps, disk_read_iops, disk_write_iops, network, ports::text AS ports, tty_columns, tty_rows, opens_stdin,
        \(time("created_at")), \(time("started_at")), \(time("ended_at")), \(time("expires_at")), \(time("last_active_at")),
        \(time("stop_signaled_at")), stop_intent, stop_error, stop_grace_ms, exit_code, signal, duration_ms, cpu_ms, memory_peak_mb,
        oom_kills, stdout_bytes, stderr_bytes, cost_micros
        """

    private static func time(_ column: String) -> String { "(extract(epoch FROM \(column)) * 1000000)::bigint AS \(column)" }
}

/// A published port as it stands in the row.
struct StoredPort: Codable {
    var container: UInt16
    var `protocol`: String
    var hostPort: UInt16?

    init(_ port: Session.Port) {
        container = port.spec.container
        `protocol` = port.spec.transport.rawValue
        hostPort = port.hostPort
    }
}

/// Small JSON values on their way into and out of jsonb columns.
enum JSONText {
    static func encode(_ value: some Encodable) throws -> String {
        String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }

    /// With the names of fields, but not of dictionaries' keys, in snake_case.
    static func encodeSnakeCase(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = .withoutEscapingSlashes
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func decode<Value: Decodable>(_: Value.Type, _ text: String) throws -> Value {
        try JSONDecoder().decode(Value.self, from: Data(text.utf8))
    }
}

extension Session {
    init(row: PostgresRow) throws {
        func value<Value>(_ parsed: Value?, _ column: String) throws -> Value {
            guard let parsed else {
                throw ExecboxError(.internal, "internal error", privateDetail: "column \(column) holds a value unknown to this version")
            }
            return parsed
        }
        func time(_ column: String) throws -> Timestamp? { try row.decode(Int64?.self, column).map(Timestamp.init(unixMicroseconds:)) }

        id = try value(SessionID(try row.decode(String.self, "id")), "id")
        accountID = try value(AccountID(try row.decode(String.self, "account_id")), "account_id")
        sandboxID = try value(SandboxID(try row.decode(String.self, "sandbox_id")), "sandbox_id")
        backend = try row.decode(String.self, "backend")
        node = try row.decode(String.self, "node")
        status = try value(SessionStatus(rawValue: try row.decode(String.self, "status")), "status")
        reason = try row.decode(String?.self, "reason").map { try value(EndReason(rawValue: $0), "reason") }
        error = try row.decode(String?.self, "error")
        progress = try row.decode(String?.self, "progress")
        image = try row.decode(String.self, "image")
        pull = try row.decode(String.self, "pull")
        imageDigest = try row.decode(String?.self, "image_digest")
        stopSignal = try row.decode(String?.self, "stop_signal")
        command = try row.decode([String].self, "command")
        environmentNames = try row.decode([String].self, "env_names")
        workDir = try row.decode(String.self, "work_dir")
        user = try row.decode(String.self, "user_name")
        labels = try JSONText.decode([String: String].self, try row.decode(String.self, "labels"))
        resources = Resources(
            cpuMillis: try row.decode(Int.self, "cpu_millis"),
            memoryMB: try row.decode(Int.self, "memory_mb"),
            diskMB: try row.decode(Int.self, "disk_mb"),
            pids: try row.decode(Int.self, "pids"),
            timeoutMs: try row.decode(Int64?.self, "timeout_ms"),
            idleTimeoutMs: try row.decode(Int64?.self, "idle_timeout_ms"),
            diskReadBps: try row.decode(Int64?.self, "disk_read_bps"),
            diskWriteBps: try row.decode(Int64?.self, "disk_write_bps"),
            diskReadIops: try row.decode(Int64?.self, "disk_read_iops"),
            diskWriteIops: try row.decode(Int64?.self, "disk_write_iops")
        )
        network = try value(NetworkMode(rawValue: try row.decode(String.self, "network")), "network")
        ports = try JSONText.decode([StoredPort].self, try row.decode(String.self, "ports")).map { stored in
            let transport = try value(PortSpec.Transport(rawValue: stored.protocol), "ports")
            return Port(spec: PortSpec(container: stored.container, transport: transport), hostPort: stored.hostPort)
        }
        if let columns = try row.decode(Int?.self, "tty_columns"), let rows = try row.decode(Int?.self, "tty_rows") {
            terminal = Terminal(columns: UInt16(clamping: columns), rows: UInt16(clamping: rows))
        }
        opensStdin = try row.decode(Bool.self, "opens_stdin")
        createdAt = try value(try time("created_at"), "created_at")
        startedAt = try time("started_at")
        endedAt = try time("ended_at")
        expiresAt = try time("expires_at")
        lastActiveAt = try value(try time("last_active_at"), "last_active_at")
        stopSignaledAt = try time("stop_signaled_at")
        intent = try row.decode(String?.self, "stop_intent").map { try value(StopIntent(rawValue: $0), "stop_intent") }
        intentError = try row.decode(String?.self, "stop_error")
        stopGraceMs = try row.decode(Int?.self, "stop_grace_ms").map(Int64.init)
        exitCode = try row.decode(Int?.self, "exit_code").map(Int32.init(truncatingIfNeeded:))
        signal = try row.decode(String?.self, "signal")
        if let duration = try row.decode(Int64?.self, "duration_ms") {
            usage = Usage(
                durationMs: duration,
                cpuMs: try row.decode(Int64?.self, "cpu_ms") ?? 0,
                memoryPeakMB: try row.decode(Int?.self, "memory_peak_mb") ?? 0,
                oomKills: try row.decode(Int?.self, "oom_kills") ?? 0,
                stdoutBytes: try row.decode(Int64?.self, "stdout_bytes") ?? 0,
                stderrBytes: try row.decode(Int64?.self, "stderr_bytes") ?? 0,
                costMicros: try row.decode(Int64?.self, "cost_micros") ?? 0
            )
        }
    }
}
