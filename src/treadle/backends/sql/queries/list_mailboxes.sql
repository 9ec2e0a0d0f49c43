SELECT {columns:mailboxes}
FROM mailboxes
ORDER BY mailbox_id
LIMIT :limit OFFSET :offset
