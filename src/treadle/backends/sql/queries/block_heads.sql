-- Heads leave the index that claims read while an entry of their mailbox is claimed.
UPDATE queue_heads
SET blocked = CASE WHEN mailboxes.lease_until IS NULL THEN 0 ELSE 1 END
FROM {given:mailbox_id}
JOIN mailboxes ON mailboxes.mailbox_id = given.mailbox_id
WHERE queue_heads.mailbox_id = given.mailbox_id
    AND queue_heads.blocked <> CASE WHEN mailboxes.lease_until IS NULL THEN 0 ELSE 1 END
