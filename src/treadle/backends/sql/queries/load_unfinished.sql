SELECT {entry_columns}
FROM entries INDEXED BY entries_queued
JOIN payloads USING (entry_key)
WHERE mailbox_id IN (SELECT value FROM json_each(:ids)) AND status = 'queued'
UNION ALL
SELECT {entry_columns}
FROM entries INDEXED BY entries_claimed
JOIN payloads USING (entry_key)
WHERE mailbox_id IN (SELECT value FROM json_each(:ids)) AND status = 'claimed'
