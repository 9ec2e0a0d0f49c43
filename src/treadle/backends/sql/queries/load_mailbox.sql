SELECT mailbox_id, current_generation, updated_at, extra
FROM mailboxes
WHERE mailbox_id = :mailbox_id
