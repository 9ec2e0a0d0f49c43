-- Lock the mailboxes whose pauses are over, of all mailboxes or of one; as read_front.sql returns them.
SELECT mailbox_id, true AS pause_is_over
FROM mailboxes
WHERE pause_ends <= {claim_time}
    AND COALESCE(:mailbox_id, mailbox_id) = mailbox_id
ORDER BY pause_ends
LIMIT :expired
FOR NO KEY UPDATE SKIP LOCKED
