-- A waiting entry becomes its queue's head, unless the head comes before it. In a queue all entries
-- have a turn, or none has.
INSERT INTO queue_heads (
    mailbox_id, priority, kind, turn, available_at, created_at, entry_id, blocked
)
SELECT
    queued.mailbox_id, queued.priority, queued.kind, queued.turn, queued.available_at,
    queued.created_at, queued.entry_id, {blocked}
FROM (
    SELECT * FROM {given:mailbox_id, priority, kind, turn, available_at, created_at, entry_id}
) AS queued
JOIN mailboxes ON mailboxes.mailbox_id = queued.mailbox_id
-- Without this WHERE, SQLite would read ON CONFLICT as the condition of the join.
WHERE true
ON CONFLICT (mailbox_id, priority, kind) DO UPDATE
SET turn = excluded.turn,
    available_at = excluded.available_at,
    created_at = excluded.created_at,
    entry_id = excluded.entry_id
WHERE (COALESCE(excluded.turn, 0), excluded.available_at, excluded.created_at, excluded.entry_id)
    < (
        COALESCE(queue_heads.turn, 0), queue_heads.available_at, queue_heads.created_at,
        queue_heads.entry_id
    )
