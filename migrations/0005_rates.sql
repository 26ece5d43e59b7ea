-- Token buckets of all replicas. Unlogged: after a crash of the database everybody starts with a full one.
CREATE UNLOGGED TABLE rate_buckets (
    -- key:<id>, account:<id>, or <route>:<client address>
    subject text PRIMARY KEY,
    capacity double precision NOT NULL CHECK (capacity >= 1),
    -- Tokens a second.
    rate double precision NOT NULL CHECK (rate > 0),
    tokens double precision NOT NULL,
    -- What the latest lease got.
    granted double precision NOT NULL,
    refilled_at timestamptz NOT NULL
) WITH (fillfactor = 50);

ALTER TABLE api_keys
    -- At most the tier's.
    ADD COLUMN requests_per_second integer CHECK (requests_per_second >= 1);
