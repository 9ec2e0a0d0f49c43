SELECT {entry_columns}
FROM json_each(:pairs) AS asked
JOIN entries ON entries.mailbox_id = json_extract(asked.value, '$[0]')
    AND entries.dedupe_key = json_extract(asked.value, '$[1]')
JOIN payloads USING (entry_key)
