INSERT INTO queue_heads (mailbox_id, priority, available_at, created_at, entry_id, blocked)
SELECT DISTINCT ON (given.mailbox_id COLLATE "C", given.priority)
    given.mailbox_id, given.priority, given.available_at, given.created_at, given.entry_id,
    CASE WHEN mailboxes.lease_until IS NULL THEN 0 ELSE 1 END
FROM json_to_recordset(:rows::json) AS given (
    mailbox_id text, priority integer, available_at bigint, created_at bigint, entry_id text
)
JOIN mailboxes USING (mailbox_id)
ORDER BY
    given.mailbox_id COLLATE "C", given.priority, given.available_at, given.created_at,
    given.entry_id COLLATE "C"
ON CONFLICT (mailbox_id, priority) DO UPDATE
SET available_at = excluded.available_at,
    created_at = excluded.created_at,
    entry_id = excluded.entry_id
WHERE (excluded.available_at, excluded.created_at, excluded.entry_id)
    < (queue_heads.available_at, queue_heads.created_at, queue_heads.entry_id)
