-- The waiting entries of a queue, best first.
SELECT {entry_columns}
FROM entries {index:entries_queued}
LEFT JOIN payloads USING (entry_id, mailbox_id, created_at)
WHERE mailbox_id = :mailbox_id
    AND priority = :priority
    AND kind = :kind
    AND status = 'queued'
ORDER BY turn, available_at, created_at, entry_id
LIMIT :limit OFFSET :offset
