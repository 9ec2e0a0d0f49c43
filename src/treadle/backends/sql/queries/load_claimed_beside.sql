SELECT {entry_columns}
FROM entries INDEXED BY entries_claimed
JOIN payloads USING (entry_key)
WHERE status = 'claimed'
    AND mailbox_id IN (
        SELECT value FROM json_each(:mailboxes)
        UNION
        SELECT mailbox_id FROM entries WHERE entry_id IN (SELECT value FROM json_each(:ids))
    )
