-- Heads leave the index that claims read while nothing of their queue may be claimed.
UPDATE queue_heads
SET blocked = queued.blocked
FROM (
    SELECT queued.mailbox_id, queued.priority, queued.kind, {blocked} AS blocked
    FROM {given:mailbox_id}
    JOIN mailboxes ON mailboxes.mailbox_id = given.mailbox_id
    JOIN queue_heads AS queued ON queued.mailbox_id = given.mailbox_id
) AS queued
WHERE queue_heads.mailbox_id = queued.mailbox_id
    AND queue_heads.priority = queued.priority
    AND queue_heads.kind = queued.kind
    AND queue_heads.blocked <> queued.blocked
