-- The lease of a mailbox, as if the claimed entries `ignored` were not there: they cannot be read.
UPDATE mailboxes
SET lease_until = (
    SELECT MAX(COALESCE(entries.lease_until, 9223372036854775807))
    FROM entries {index:entries_claimed}
    WHERE entries.mailbox_id = :mailbox_id
        AND entries.status = 'claimed'
        AND typeof(entries.lease_until) IN ('integer', 'null')
        AND entries.entry_id {not_in:ignored}
)
WHERE mailbox_id = :mailbox_id
