SELECT {entry_columns}
FROM entries
JOIN payloads USING (entry_key)
WHERE mailbox_id IN (SELECT value FROM json_each(:ids)) AND status IN ('queued', 'claimed')
