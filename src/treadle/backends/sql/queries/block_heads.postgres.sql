UPDATE queue_heads
SET blocked = CASE WHEN mailboxes.lease_until IS NULL THEN 0 ELSE 1 END
FROM json_to_recordset(:rows::json) AS given (mailbox_id text)
JOIN mailboxes USING (mailbox_id)
WHERE queue_heads.mailbox_id = given.mailbox_id
    AND queue_heads.blocked <> CASE WHEN mailboxes.lease_until IS NULL THEN 0 ELSE 1 END
