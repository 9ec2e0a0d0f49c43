-- The waiting entries of a queue, best first. They are found first, by themselves: PostgreSQL might
-- look for the payload of each among those of the whole mailbox.
SELECT {entry_columns}
FROM (
    SELECT *
    FROM entries {index:entries_queued}
    WHERE mailbox_id = :mailbox_id
        AND priority = :priority
        AND kind = :kind
        AND status = 'queued'
    ORDER BY turn, available_at, created_at, entry_id
    LIMIT :limit OFFSET :offset
) AS waiting
LEFT JOIN payloads USING (entry_id, mailbox_id, created_at)
ORDER BY turn, available_at, created_at, entry_id
