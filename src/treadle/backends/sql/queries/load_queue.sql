-- The waiting entries of a queue, best first.
SELECT {entry_columns}
FROM entries {index:entries_queued}
{payloads:LEFT JOIN}
WHERE mailbox_id = :mailbox_id
    AND priority = :priority
    AND kind = :kind
    AND status = 'queued'
ORDER BY turn, available_at, created_at, entry_id
LIMIT :limit OFFSET :offset
