SELECT mailboxes.lease_until, MIN(queue_heads.available_at)
FROM mailboxes
LEFT JOIN queue_heads ON queue_heads.mailbox_id = mailboxes.mailbox_id
WHERE mailboxes.mailbox_id = :mailbox_id
GROUP BY mailboxes.lease_until
