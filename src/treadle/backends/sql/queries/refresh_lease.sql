-- A claimed entry without a lease is held for ever, hence the largest integer.
UPDATE mailboxes
SET lease_until = (
    SELECT MAX(COALESCE(entries.lease_until, 9223372036854775807))
    FROM entries {index:entries_claimed}
    WHERE entries.mailbox_id = :mailbox_id AND entries.status = 'claimed'
        AND typeof(entries.lease_until) IN ('integer', 'null') -- any other value is damage
)
WHERE mailbox_id = :mailbox_id
