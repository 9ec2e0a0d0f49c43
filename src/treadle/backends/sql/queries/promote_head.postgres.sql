INSERT INTO queue_heads (mailbox_id, priority, available_at, created_at, entry_id, blocked)
SELECT
    given.mailbox_id, given.priority, head.available_at, head.created_at, head.entry_id,
    CASE WHEN mailboxes.lease_until IS NULL THEN 0 ELSE 1 END
FROM json_to_recordset(:rows::json) AS given (mailbox_id text, priority integer)
CROSS JOIN LATERAL (
    SELECT entries.available_at, entries.created_at, entries.entry_id
    FROM entries
    WHERE entries.mailbox_id = given.mailbox_id
        AND entries.priority = given.priority
        AND entries.status = 'queued'
    ORDER BY entries.available_at, entries.created_at, entries.entry_id
    LIMIT 1
) AS head
JOIN mailboxes USING (mailbox_id)
ON CONFLICT (mailbox_id, priority) DO NOTHING
