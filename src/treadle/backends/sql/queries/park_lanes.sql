UPDATE lanes
SET parked = CASE WHEN mailboxes.lease_until IS NULL THEN 0 ELSE 1 END
FROM mailboxes
WHERE mailboxes.mailbox_id = :mailbox_id
    AND lanes.mailbox_id = :mailbox_id
    AND lanes.parked <> CASE WHEN mailboxes.lease_until IS NULL THEN 0 ELSE 1 END
