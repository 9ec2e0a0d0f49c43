SELECT {entry_columns}, ended_at
FROM entries
LEFT JOIN payloads USING (entry_id, mailbox_id, created_at)
