INSERT INTO entries (
    entry_id, mailbox_id, origin, sender_id, priority, dedupe_key, generation, status,
    available_at, attempt_count, last_error, claim_token, claimed_by, lease_until, created_at,
    updated_at, extra
)
VALUES (
    :entry_id, :mailbox_id, :origin, :sender_id, :priority, :dedupe_key, :generation, :status,
    :available_at, :attempt_count, :last_error, :claim_token, :claimed_by, :lease_until,
    :created_at, :updated_at, :extra
)
