INSERT INTO lanes (mailbox_id, priority, available_at, created_at, entry_id, parked)
SELECT
    :mailbox_id, :priority, :available_at, :created_at, :entry_id,
    CASE WHEN lease_until IS NULL THEN 0 ELSE 1 END
FROM mailboxes
WHERE mailbox_id = :mailbox_id
ON CONFLICT (mailbox_id, priority) DO UPDATE
SET available_at = excluded.available_at,
    created_at = excluded.created_at,
    entry_id = excluded.entry_id
WHERE (excluded.available_at, excluded.created_at, excluded.entry_id)
    < (lanes.available_at, lanes.created_at, lanes.entry_id)
