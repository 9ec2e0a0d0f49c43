-- Nothing waits for these pauses now: their time is over.
UPDATE mailboxes
SET pause_ends = NULL
FROM {given:mailbox_id}
WHERE mailboxes.mailbox_id = given.mailbox_id
