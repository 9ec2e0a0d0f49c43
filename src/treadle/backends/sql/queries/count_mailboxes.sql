SELECT COUNT(*)
FROM mailboxes
