-- wakes_at is indexed, so it changes only when a lease begins, ends or becomes shorter. A renewal
-- leaves it alone; a claim that finds it in the past while the lease is live brings it up to date.
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
