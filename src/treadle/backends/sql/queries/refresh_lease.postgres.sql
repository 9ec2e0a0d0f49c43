-- wakes_at, which is indexed, follows only a lease that begins, ends or becomes shorter; a renewal
-- leaves it alone, and whoever finds it past and the lease running brings it up to date.
UPDATE mailboxes
SET lease_until = held.lease_until,
    wakes_at = CASE
        WHEN held.lease_until IS NULL THEN NULL
        ELSE LEAST(mailboxes.wakes_at, held.lease_until)
    END
FROM json_to_recordset(:rows::json) AS given (mailbox_id text)
CROSS JOIN LATERAL (
    SELECT MAX(COALESCE(entries.lease_until, 9223372036854775807)) AS lease_until
    FROM entries
    WHERE entries.mailbox_id = given.mailbox_id AND entries.status = 'claimed'
) AS held
WHERE mailboxes.mailbox_id = given.mailbox_id
    AND mailboxes.lease_until IS DISTINCT FROM held.lease_until
