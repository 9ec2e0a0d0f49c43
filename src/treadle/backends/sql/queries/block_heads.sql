-- Heads leave the index that claims read while nothing of their queue may be claimed.
UPDATE queue_heads AS queued
SET blocked = {blocked}
FROM {given:mailbox_id}
JOIN mailboxes ON mailboxes.mailbox_id = given.mailbox_id
WHERE queued.mailbox_id = given.mailbox_id AND queued.blocked <> {blocked}
