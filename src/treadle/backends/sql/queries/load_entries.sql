SELECT {entry_columns}
FROM entries
JOIN payloads USING (entry_key)
WHERE entry_id IN (SELECT value FROM json_each(:ids))
