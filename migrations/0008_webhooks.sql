CREATE TABLE webhooks (
    id text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    url text NOT NULL,
    -- AES-GCM sealed: what deliveries are signed with.
    secret_sealed bytea NOT NULL,
    events text[] NOT NULL CHECK (events <@ '{session.ended,quota.threshold,key.created,key.updated,key.rotated,key.deleted}'
        AND cardinality(events) > 0),
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE INDEX webhooks_of_account ON webhooks (account_id) WHERE deleted_at IS NULL;

-- What is to be delivered, or was: a row a webhook and event, written in the event's own transaction.
CREATE TABLE webhook_deliveries (
    id text PRIMARY KEY,
    webhook_id text NOT NULL REFERENCES webhooks,
    event text NOT NULL,
    payload text NOT NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    -- Tried again until then.
    expires_at timestamptz NOT NULL DEFAULT now() + interval '24 hours',
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    claimed_until timestamptz,
    last_status integer,
    last_error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CHECK ((status = 'pending') = (ended_at IS NULL))
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_attempt_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_claimed ON webhook_deliveries (claimed_until) WHERE status = 'pending' AND claimed_until IS NOT NULL;
CREATE INDEX webhook_deliveries_expiring ON webhook_deliveries (expires_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (webhook_id, id DESC);
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (ended_at) WHERE status <> 'pending';
