-- When a mailbox may give something: when its lease and its pause have ended, or when a head that is
-- not blocked is due. For `<> 1` see `_BETTER`.
SELECT
    mailboxes.lease_until,
    mailboxes.pause_ends,
    MIN(CASE WHEN queue_heads.kind = 0 THEN 0 ELSE queue_heads.available_at END)
FROM mailboxes
LEFT JOIN queue_heads ON queue_heads.mailbox_id = mailboxes.mailbox_id AND queue_heads.blocked <> 1
WHERE mailboxes.mailbox_id = :mailbox_id
GROUP BY mailboxes.lease_until, mailboxes.pause_ends
