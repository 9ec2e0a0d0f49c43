-- The pauses that are over, of all mailboxes or of one.
SELECT mailbox_id
FROM mailboxes
WHERE pause_ends <= :now AND COALESCE(:mailbox_id, mailbox_id) = mailbox_id
