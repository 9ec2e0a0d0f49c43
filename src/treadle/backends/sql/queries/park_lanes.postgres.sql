UPDATE lanes
SET parked = CASE WHEN mailboxes.lease_until IS NULL THEN 0 ELSE 1 END
FROM json_to_recordset(:rows::json) AS given (mailbox_id text)
JOIN mailboxes USING (mailbox_id)
WHERE lanes.mailbox_id = given.mailbox_id
    AND lanes.parked <> CASE WHEN mailboxes.lease_until IS NULL THEN 0 ELSE 1 END
