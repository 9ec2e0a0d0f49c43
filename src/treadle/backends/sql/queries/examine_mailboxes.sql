SELECT {columns:mailboxes}
FROM mailboxes
