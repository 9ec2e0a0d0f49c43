SELECT {columns:mailboxes}
FROM mailboxes
WHERE mailbox_id = :mailbox_id
