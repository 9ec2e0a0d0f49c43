WITH clock (now) AS (VALUES (:now))
SELECT
    heads.mailbox_id, heads.priority, heads.kind, heads.turn, heads.available_at, heads.created_at,
    heads.entry_id, 1 AS is_head
FROM mailboxes
JOIN queue_heads AS heads ON heads.mailbox_id = mailboxes.mailbox_id
WHERE mailboxes.lease_until <= :now
    AND mailboxes.pause_ends IS NULL
    AND NOT {paused}
    AND (heads.available_at <= :now OR heads.kind <> 2)
    AND {conditions}
UNION ALL
SELECT
    mailboxes.mailbox_id, entries.priority, entries.kind, entries.turn, entries.available_at,
    entries.created_at, entries.entry_id, 0 AS is_head
FROM mailboxes
-- A mailbox with a lease and no claimed entry is damaged; the claim has to know of it.
LEFT JOIN entries ON entries.mailbox_id = mailboxes.mailbox_id AND entries.status = 'claimed'
WHERE mailboxes.lease_until <= :now
    AND mailboxes.pause_ends IS NULL
    AND NOT {paused}
    AND {conditions}
