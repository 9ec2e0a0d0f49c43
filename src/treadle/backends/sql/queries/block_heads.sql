UPDATE queue_heads
SET blocked = CASE WHEN mailboxes.lease_until IS NULL THEN 0 ELSE 1 END
FROM mailboxes
WHERE mailboxes.mailbox_id = :mailbox_id
    AND queue_heads.mailbox_id = :mailbox_id
    AND queue_heads.blocked <> CASE WHEN mailboxes.lease_until IS NULL THEN 0 ELSE 1 END
