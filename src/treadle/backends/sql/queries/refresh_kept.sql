-- The highest priority of a retry that keeps its order in a mailbox.
UPDATE mailboxes
SET kept_priority = (
    SELECT MAX(queue_heads.priority)
    FROM queue_heads
    WHERE queue_heads.mailbox_id = mailboxes.mailbox_id AND queue_heads.kind = 1
)
{for_given:mailboxes.mailbox_id}
