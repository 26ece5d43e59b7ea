-- What sessions cost; each price is in force from its date until the next one's.
CREATE TABLE prices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    valid_from timestamptz NOT NULL UNIQUE,
    micros_per_session bigint NOT NULL CHECK (micros_per_session BETWEEN 0 AND 1000000000),
    micros_per_cpu_second bigint NOT NULL CHECK (micros_per_cpu_second BETWEEN 0 AND 1000000000),
    micros_per_gb_second bigint NOT NULL CHECK (micros_per_gb_second BETWEEN 0 AND 1000000000),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO prices (valid_from, micros_per_session, micros_per_cpu_second, micros_per_gb_second)
    VALUES ('1970-01-01 00:00:00+00', 1000, 50, 10);

-- Reserved resources times wall time, in micro-USD. Thousandths of a CPU and of a second make the million, MiB in a GiB the 1024.
-- Fractions of a micro are dropped once, at the end.
CREATE FUNCTION session_cost_micros(price prices, cpu_millis bigint, memory_mb bigint, duration_ms bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN LEAST(
        price.micros_per_session + div(
            GREATEST(duration_ms, 0)::numeric
                * (cpu_millis::numeric * price.micros_per_cpu_second * 1024 + memory_mb::numeric * price.micros_per_gb_second * 1000),
            1024000000),
        9223372036854775807)::bigint;

-- One entry a session, written in the transaction that ends it.
CREATE TABLE ledger (
    session_id text PRIMARY KEY REFERENCES sessions,
    account_id text NOT NULL REFERENCES accounts,
    key_id text NOT NULL REFERENCES api_keys,
    -- The one in force when the session started.
    price_id bigint NOT NULL REFERENCES prices,
    -- In the account's time zone when it was booked.
    day date NOT NULL,
    cost_micros bigint NOT NULL CHECK (cost_micros >= 0),
    booked_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ledger_by_day ON ledger (account_id, day, session_id);

-- Sums over ended sessions, for the account as a whole (subject ''), for each key (its id) and each label (name=value).
CREATE TABLE usage_hours (
    account_id text NOT NULL REFERENCES accounts,
    kind text NOT NULL CHECK (kind IN ('account', 'key', 'label')),
    subject text NOT NULL,
    hour timestamptz NOT NULL,
    executions bigint NOT NULL,
    errors bigint NOT NULL,
    duration_ms bigint NOT NULL,
    cpu_ms bigint NOT NULL,
    cost_micros bigint NOT NULL,
    PRIMARY KEY (account_id, kind, subject, hour)
);
CREATE TABLE usage_days (
    account_id text NOT NULL REFERENCES accounts,
    kind text NOT NULL CHECK (kind IN ('account', 'key', 'label')),
    subject text NOT NULL,
    day date NOT NULL,
    executions bigint NOT NULL,
    errors bigint NOT NULL,
    duration_ms bigint NOT NULL,
    cpu_ms bigint NOT NULL,
    cost_micros bigint NOT NULL,
    PRIMARY KEY (account_id, kind, subject, day)
);

-- What ended before there was a ledger.
INSERT INTO ledger (session_id, account_id, key_id, price_id, day, cost_micros, booked_at)
    SELECT s.id, s.account_id, s.key_id, (SELECT min(id) FROM prices), (s.ended_at AT TIME ZONE a.timezone)::date,
        COALESCE(s.cost_micros, 0), s.ended_at
    FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE s.ended_at IS NOT NULL;
CREATE TEMPORARY TABLE booked ON COMMIT DROP AS
    SELECT s.account_id, subjects.kind, subjects.subject, date_trunc('hour', s.ended_at, 'UTC') AS hour, l.day,
        count(*) AS executions, count(*) FILTER (WHERE s.status = 'failed') AS errors, sum(COALESCE(s.duration_ms, 0)) AS duration_ms,
        sum(COALESCE(s.cpu_ms, 0)) AS cpu_ms, sum(l.cost_micros) AS cost_micros
    FROM ledger l JOIN sessions s ON s.id = l.session_id,
        LATERAL (SELECT 'account' AS kind, '' AS subject UNION ALL SELECT 'key', s.key_id
            UNION ALL SELECT 'label', key || '=' || value FROM jsonb_each_text(s.labels)) subjects
    GROUP BY 1, 2, 3, 4, 5;
INSERT INTO usage_hours SELECT account_id, kind, subject, hour, sum(executions), sum(errors), sum(duration_ms), sum(cpu_ms), sum(cost_micros)
    FROM booked GROUP BY 1, 2, 3, 4;
INSERT INTO usage_days SELECT account_id, kind, subject, day, sum(executions), sum(errors), sum(duration_ms), sum(cpu_ms), sum(cost_micros)
    FROM booked GROUP BY 1, 2, 3, 4;
DROP TABLE booked;

-- Which parts of its monthly cost limit an account has been told of.
CREATE TABLE budget_alerts (
    account_id text NOT NULL REFERENCES accounts,
    -- The month's first day in the account's time zone.
    month date NOT NULL,
    percent integer NOT NULL CHECK (percent BETWEEN 1 AND 100),
    cost_micros bigint NOT NULL,
    limit_micros bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, month, percent, limit_micros)
);
