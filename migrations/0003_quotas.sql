-- What quotas count.
CREATE INDEX sessions_open_of_account ON sessions (account_id, key_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_by_creation ON sessions (account_id, created_at);

-- What a host can carry; kept by its server. A session's share is taken with its row and free again once it has ended.
CREATE TABLE hosts (
    node text PRIMARY KEY,
    sessions integer NOT NULL CHECK (sessions > 0),
    memory_mb integer NOT NULL CHECK (memory_mb > 0),
    cpu_millis integer NOT NULL CHECK (cpu_millis > 0),
    updated_at timestamptz NOT NULL DEFAULT now()
);
