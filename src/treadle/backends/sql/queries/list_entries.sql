SELECT {entry_columns}
FROM entries
JOIN payloads USING (entry_id, mailbox_id, created_at)
WHERE {conditions}
ORDER BY created_at, entry_id
LIMIT :limit OFFSET :offset
