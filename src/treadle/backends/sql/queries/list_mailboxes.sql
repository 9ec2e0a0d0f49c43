SELECT mailbox_id, current_generation, updated_at, extra
FROM mailboxes
ORDER BY mailbox_id
LIMIT :limit OFFSET :offset
