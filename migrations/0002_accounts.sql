-- What an account may do at most. NULL is "no limit", here and in every limit below.
CREATE TABLE tiers (
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_-]{0,31}$'),
    sessions_per_day integer CHECK (sessions_per_day >= 0),
    concurrent_sessions integer CHECK (concurrent_sessions >= 0),
    max_duration_ms bigint CHECK (max_duration_ms >= 1000),
    max_memory_mb integer CHECK (max_memory_mb >= 32),
    max_cpu_millis integer CHECK (max_cpu_millis >= 100),
    requests_per_second integer NOT NULL CHECK (requests_per_second > 0),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tiers (name, sessions_per_day, concurrent_sessions, max_duration_ms, max_memory_mb, requests_per_second) VALUES
    ('free', 10, 5, 60000, 512, 10),
    ('starter', 100, 10, 300000, 1024, 20),
    ('pro', 1000, 50, 600000, 2048, 50),
    ('enterprise', NULL, NULL, NULL, NULL, 500);

ALTER TABLE accounts
    ALTER COLUMN tier SET DEFAULT 'free',
    ADD CONSTRAINT accounts_tier_fkey FOREIGN KEY (tier) REFERENCES tiers,
    -- From then on the account has the tier 'free'.
    ADD COLUMN tier_expires_at timestamptz,
    ADD COLUMN email text,
    ADD COLUMN timezone text NOT NULL DEFAULT 'UTC',
    ADD COLUMN billing_email text,
    -- Percent of the monthly cost limit.
    ADD COLUMN alert_threshold integer NOT NULL DEFAULT 80 CHECK (alert_threshold BETWEEN 1 AND 100),
    -- At most the tier's.
    ADD COLUMN sessions_per_day integer CHECK (sessions_per_day >= 0),
    ADD COLUMN concurrent_sessions integer CHECK (concurrent_sessions >= 0),
    ADD COLUMN monthly_cost_limit_micros bigint CHECK (monthly_cost_limit_micros >= 0);
-- One account an address, however it is spelled.
CREATE UNIQUE INDEX accounts_email ON accounts (lower(email));

ALTER TABLE api_keys
    ADD COLUMN description text,
    ADD COLUMN is_active boolean NOT NULL DEFAULT true,
    -- At most the account's.
    ADD COLUMN sessions_per_day integer CHECK (sessions_per_day >= 1),
    ADD COLUMN concurrent_sessions integer CHECK (concurrent_sessions >= 1),
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{sessions:read,sessions:write,files,usage,keys}'
        CHECK (scopes <@ '{sessions:read,sessions:write,files,usage,keys,admin}'),
    -- After a rotation the old secret's hash, good until then.
    ADD COLUMN former_secret_hash bytea CHECK (octet_length(former_secret_hash) = 32),
    ADD COLUMN former_valid_until timestamptz,
    ADD CHECK ((former_secret_hash IS NULL) = (former_valid_until IS NULL));

-- Who changed what. Never changed itself.
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    at timestamptz NOT NULL DEFAULT now(),
    -- key:<key id>, operator:<user of the host>, or system
    actor text NOT NULL CHECK (actor ~ '^(key:key_[0-9a-z]{26}|operator:.+|system)$'),
    action text NOT NULL CHECK (action IN ('account.created', 'account.updated', 'account.limits_updated', 'key.created', 'key.updated',
        'key.rotated', 'key.deleted')),
    -- The key or account that was changed.
    target text NOT NULL,
    -- What it was and is: {"name": ["old", "new"]}. No secrets.
    changes jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_newest ON audit_log (account_id, id DESC);
