-- Who this installation is: every container, network, volume and label carries the id, and nothing without it is ever touched.
CREATE TABLE cluster (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO cluster (id) VALUES (replace(gen_random_uuid()::text, '-', ''));

CREATE TABLE accounts (
    id text PRIMARY KEY,
    name text NOT NULL,
    tier text NOT NULL DEFAULT 'enterprise',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
    id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    public_id text NOT NULL UNIQUE,
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);
CREATE INDEX api_keys_account ON api_keys (account_id);

-- A row says what should exist before anything is asked of a backend.
CREATE TABLE sandboxes (
    id text PRIMARY KEY,
    backend text NOT NULL,
    node text NOT NULL,
    backend_id text NOT NULL DEFAULT '',
    boot_id bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    destroyed_at timestamptz
);
CREATE INDEX sandboxes_alive ON sandboxes (backend, node) WHERE destroyed_at IS NULL;

CREATE TABLE sessions (
    id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    key_id text NOT NULL REFERENCES api_keys,
    sandbox_id text NOT NULL UNIQUE REFERENCES sandboxes,
    backend text NOT NULL,
    node text NOT NULL,
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'building', 'starting', 'running', 'stopping', 'stopped', 'killed', 'failed')),
    reason text CHECK (reason IN ('exited', 'signaled', 'stopped', 'killed', 'timeout', 'idle_timeout', 'oom_killed', 'disk_exceeded',
        'budget_exceeded', 'image_error', 'start_failed', 'backend_lost')),
    error text,
    progress text,
    image text NOT NULL,
    pull text NOT NULL CHECK (pull IN ('missing', 'always')),
    image_digest text,
    stop_signal text,
    command text[] NOT NULL,
    env_names text[] NOT NULL,
    -- AES-GCM sealed; gone once main has been started.
    env_sealed bytea,
    work_dir text NOT NULL,
    user_name text NOT NULL,
    labels jsonb NOT NULL,
    cpu_millis integer NOT NULL CHECK (cpu_millis > 0),
    memory_mb integer NOT NULL CHECK (memory_mb > 0),
    disk_mb integer NOT NULL CHECK (disk_mb > 0),
    pids integer NOT NULL CHECK (pids > 0),
    timeout_ms bigint CHECK (timeout_ms > 0),
    idle_timeout_ms bigint CHECK (idle_timeout_ms > 0),
    disk_read_bps bigint,
    disk_write_bps bigint,
    disk_read_iops bigint,
    disk_write_iops bigint,
    network text NOT NULL CHECK (network IN ('none', 'outgoing', 'exposed')),
    -- [{"container": 80, "protocol": "tcp", "hostPort": 32768}], hostPort once it is known
    ports jsonb NOT NULL DEFAULT '[]',
    tty_columns integer,
    tty_rows integer,
    opens_stdin boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz,
    expires_at timestamptz,
    last_active_at timestamptz NOT NULL DEFAULT now(),
    -- First writer wins; 'stopped' may turn into 'killed'.
    stop_intent text CHECK (stop_intent IN ('stopped', 'killed', 'timeout', 'idle_timeout', 'budget_exceeded', 'disk_exceeded')),
    stop_error text,
    stop_grace_ms integer,
    stop_requested_at timestamptz,
    -- Set when the stop signal has been sent; SIGKILL is due then.
    stop_signaled_at timestamptz,
    claimed_by text,
    claimed_until timestamptz,
    exit_code integer,
    signal text,
    duration_ms bigint,
    cpu_ms bigint,
    memory_peak_mb integer,
    oom_kills integer,
    stdout_bytes bigint,
    stderr_bytes bigint,
    cost_micros bigint,
    CHECK ((status IN ('stopped', 'killed', 'failed')) = (reason IS NOT NULL)),
    CHECK ((status IN ('stopped', 'killed', 'failed')) = (ended_at IS NOT NULL))
);
CREATE INDEX sessions_newest ON sessions (account_id, id DESC);
CREATE INDEX sessions_labels ON sessions USING gin (labels jsonb_path_ops);
CREATE INDEX sessions_open ON sessions (node) WHERE ended_at IS NULL;

-- How far a session's output is recorded, and by which recorder. Apart from the session, since it changes many times a second.
CREATE TABLE recordings (
    session_id text PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
    -- Counts up with each recorder; a lower one may not write any more.
    epoch bigint NOT NULL DEFAULT 0,
    -- Combined stdout and stderr bytes before which nothing more will be written.
    recorded bigint NOT NULL DEFAULT 0
);

-- Main's output as frames (PROTOCOL §3). `start` counts combined payload bytes; what no chunk covers is missing.
CREATE TABLE output_chunks (
    day date NOT NULL,
    session_id text NOT NULL,
    start bigint NOT NULL,
    payload_bytes integer NOT NULL CHECK (payload_bytes > 0),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    frames bytea NOT NULL,
    PRIMARY KEY (session_id, start, day)
) PARTITION BY RANGE (day);
ALTER TABLE output_chunks ALTER COLUMN frames SET STORAGE EXTERNAL;
CREATE TABLE output_chunks_default PARTITION OF output_chunks DEFAULT;
