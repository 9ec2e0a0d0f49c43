SELECT {entry_columns}
FROM entries
LEFT JOIN payloads USING (entry_id, mailbox_id, created_at)
WHERE entry_id = :entry_id
