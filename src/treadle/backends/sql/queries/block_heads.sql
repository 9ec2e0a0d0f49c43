-- Heads leave the index that claims read while nothing of their queue may be claimed.
UPDATE queue_heads AS queued
SET blocked = (
    SELECT {blocked} FROM mailboxes WHERE mailboxes.mailbox_id = queued.mailbox_id
)
{for_given:queued.mailbox_id}
    AND queued.blocked <> (
        SELECT {blocked} FROM mailboxes WHERE mailboxes.mailbox_id = queued.mailbox_id
    )
