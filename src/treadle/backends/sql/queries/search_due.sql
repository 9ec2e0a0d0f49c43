SELECT {entry_columns}
FROM entries {index:entries_due}
JOIN payloads USING (entry_id, mailbox_id, created_at)
WHERE status = 'queued' AND {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
