SELECT {entry_columns}
FROM entries
JOIN payloads USING (entry_id, mailbox_id, created_at)
WHERE {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
