-- Requests with an Idempotency-Key: in flight while they have an owner, done once they have a resource. Kept for a day.
CREATE TABLE idempotency_records (
    -- The account, or for a route without a caller the client's address.
    scope text NOT NULL,
    key text NOT NULL,
    -- SHA-256 of method, path, query and body.
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    -- The process that works on it, as in claims, and which of its requests.
    owner text,
    token text,
    claimed_until timestamptz,
    -- What the answer is rendered from.
    resource text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key),
    CHECK ((resource IS NULL) = (owner IS NOT NULL AND token IS NOT NULL AND claimed_until IS NOT NULL))
);
CREATE INDEX idempotency_records_age ON idempotency_records (created_at);
