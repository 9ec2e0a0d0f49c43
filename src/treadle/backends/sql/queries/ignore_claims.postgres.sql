-- The lease of a mailbox, as if the claimed entries `ignored` were not there: they cannot be read.
UPDATE mailboxes
SET lease_until = held.lease_until, wakes_at = held.lease_until
FROM json_to_recordset(:rows::json) AS given (mailbox_id text, ignored text)
CROSS JOIN LATERAL (
    SELECT MAX(COALESCE(entries.lease_until, 9223372036854775807)) AS lease_until
    FROM entries
    WHERE entries.mailbox_id = given.mailbox_id
        AND entries.status = 'claimed'
        AND entries.entry_id <> ALL (
            ARRAY(SELECT json_array_elements_text(given.ignored::json))
        )
) AS held
WHERE mailboxes.mailbox_id = given.mailbox_id
