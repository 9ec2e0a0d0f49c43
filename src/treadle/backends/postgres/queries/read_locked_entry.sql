-- The entry, and the claimed entries of its mailbox, if that is locked.
SELECT {entry_columns}
FROM entries
LEFT JOIN payloads USING (entry_id, mailbox_id, created_at)
WHERE entry_id = ANY (ARRAY(
    SELECT entries.entry_id
    FROM entries
    WHERE entries.entry_id = :entry_id
        AND entries.mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(current_setting('treadle.locked')::json)
        ))
    UNION
    SELECT entries.entry_id
    FROM entries
    WHERE entries.mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(current_setting('treadle.locked')::json)
        ))
        AND entries.status = 'claimed'
))
