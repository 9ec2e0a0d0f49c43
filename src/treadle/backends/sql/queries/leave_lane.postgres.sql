DELETE FROM lanes
USING json_to_recordset(:rows::json) AS given (mailbox_id text, priority integer, entry_id text)
WHERE lanes.mailbox_id = given.mailbox_id
    AND lanes.priority = given.priority
    AND lanes.entry_id = given.entry_id
