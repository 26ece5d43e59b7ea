-- A million ended sessions of one account over the last year, with their ledger entries and sums, for the figures of lists and reports.
-- psql -v account=ACCOUNT -v key=KEY
BEGIN;
INSERT INTO sandboxes (id, backend, node, destroyed_at)
    SELECT 'sb_0' || lpad(n::text, 25, '0'), 'docker', 'history', now() FROM generate_series(1, 1000000) n;
INSERT INTO sessions (id, account_id, key_id, sandbox_id, backend, node, status, reason, image, image_digest, stop_signal, pull, command,
        env_names, work_dir, user_name, labels, cpu_millis, memory_mb, disk_mb, pids, network, opens_stdin, created_at, started_at,
        ended_at, last_active_at, exit_code, duration_ms, cpu_ms, memory_peak_mb, oom_kills, stdout_bytes, stderr_bytes, cost_micros)
    SELECT 'sess_0' || lpad(n::text, 25, '0'), :'account', :'key', 'sb_0' || lpad(n::text, 25, '0'), 'docker', 'history',
        CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'stopped' END, CASE WHEN n % 50 = 0 THEN 'start_failed' ELSE 'exited' END,
        'execbox/base', 'sha256:00', 'SIGTERM', 'missing', ARRAY['sh', '-c', 'echo ' || n], '{}', '/', '',
        jsonb_build_object('team', 'team-' || n % 20), 1000, 512, 1024, 256, 'none', true, moment, moment, moment + interval '5 s',
        moment, 0, 5000, 200, 12, 0, 10, 0, CASE WHEN n % 50 = 0 THEN 0 ELSE 1275 END
    FROM generate_series(1, 1000000) n, LATERAL (SELECT now() - (1000000 - n) * interval '31 s' - interval '1 minute' AS moment) m;
INSERT INTO ledger (session_id, account_id, key_id, price_id, day, cost_micros, booked_at)
    SELECT id, account_id, key_id, (SELECT min(id) FROM prices), (ended_at AT TIME ZONE 'UTC')::date, cost_micros, ended_at
    FROM sessions WHERE node = 'history';
INSERT INTO usage_days
    SELECT account_id, kind, subject, (ended_at AT TIME ZONE 'UTC')::date, count(*), count(*) FILTER (WHERE status = 'failed'),
        sum(duration_ms), sum(cpu_ms), sum(cost_micros)
    FROM sessions, LATERAL (VALUES ('account', ''), ('key', key_id), ('label', 'team=' || (labels ->> 'team'))) s (kind, subject)
    WHERE node = 'history' GROUP BY 1, 2, 3, 4;
INSERT INTO usage_hours
    SELECT account_id, kind, subject, date_trunc('hour', ended_at, 'UTC'), count(*), count(*) FILTER (WHERE status = 'failed'),
        sum(duration_ms), sum(cpu_ms), sum(cost_micros)
    FROM sessions, LATERAL (VALUES ('account', ''), ('key', key_id), ('label', 'team=' || (labels ->> 'team'))) s (kind, subject)
    WHERE node = 'history' GROUP BY 1, 2, 3, 4;
COMMIT;
VACUUM ANALYZE;
