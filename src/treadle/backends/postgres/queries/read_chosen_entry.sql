-- The entry, and what is claimed in its mailbox, if that was locked.
SELECT {entry_columns}
FROM entries
JOIN payloads USING (entry_id, mailbox_id, created_at)
WHERE entry_id = ANY (ARRAY(
    SELECT entries.entry_id
    FROM entries
    WHERE entries.entry_id = :entry_id
        AND entries.mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(current_setting('treadle.chosen')::json)
        ))
    UNION
    SELECT entries.entry_id
    FROM entries
    WHERE entries.mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(current_setting('treadle.chosen')::json)
        ))
        AND entries.status = 'claimed'
))
