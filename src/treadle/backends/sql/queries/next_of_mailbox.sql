SELECT mailboxes.lease_until, MIN(lanes.available_at)
FROM mailboxes
LEFT JOIN lanes ON lanes.mailbox_id = mailboxes.mailbox_id
WHERE mailboxes.mailbox_id = :mailbox_id
GROUP BY mailboxes.lease_until
