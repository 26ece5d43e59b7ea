ALTER TABLE audit_log
    -- Tiers and prices are nobody's.
    ALTER COLUMN account_id DROP NOT NULL,
    DROP CONSTRAINT audit_log_action_check,
    ADD CONSTRAINT audit_log_action_check CHECK (action IN ('account.created', 'account.updated', 'account.limits_updated', 'key.created',
        'key.updated', 'key.rotated', 'key.deleted', 'tier.created', 'tier.updated', 'tier.deleted', 'price.created', 'price.deleted',
        'quota_request.created', 'quota_request.updated', 'webhook.created', 'webhook.updated', 'webhook.deleted'));

-- One account an address, however it is written (EmailAddress.key).
DROP INDEX accounts_email;
ALTER TABLE accounts
    ADD COLUMN email_key text UNIQUE,
    -- By a stranger, who chose its name: operators do not mean it by that.
    ADD COLUMN is_signed_up boolean NOT NULL DEFAULT false;
UPDATE accounts SET email_key = lower(email);
ALTER TABLE accounts ADD CHECK ((email IS NULL) = (email_key IS NULL));

CREATE TABLE quota_requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Of the key it was made with, if any.
    account_id text REFERENCES accounts,
    email text NOT NULL,
    name text,
    company text,
    use_case text,
    requested_limits text,
    budget text,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'declined')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
