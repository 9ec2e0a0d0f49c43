INSERT INTO entries (
    entry_id, mailbox_id, priority, generation, status, available_at, attempt_count, last_error,
    claim_token, claimed_by, lease_until, created_at, updated_at, ended_at
)
SELECT
    entry_id, mailbox_id, priority, generation, status, available_at, attempt_count, last_error,
    claim_token, claimed_by, lease_until, created_at, updated_at,
    CASE WHEN status IN ('queued', 'claimed') THEN NULL ELSE updated_at END
FROM json_to_recordset(:rows::json) AS given (
    entry_id text, mailbox_id text, priority integer, generation bigint, status text,
    available_at bigint, attempt_count bigint, last_error text, claim_token text,
    claimed_by text, lease_until bigint, created_at bigint, updated_at bigint
)
