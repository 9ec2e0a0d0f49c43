DELETE FROM queue_heads
USING json_to_recordset(:rows::json) AS given (mailbox_id text, priority integer, entry_id text)
WHERE queue_heads.mailbox_id = given.mailbox_id
    AND queue_heads.priority = given.priority
    AND queue_heads.entry_id = given.entry_id
