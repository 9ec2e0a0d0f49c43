SELECT {entry_columns}
FROM {entry_tables}
WHERE entry_id = ANY (ARRAY(
    SELECT entries.entry_id
    FROM entries
    WHERE entries.mailbox_id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)))
        AND entries.status = 'queued'
    UNION ALL
    SELECT entries.entry_id
    FROM entries
    WHERE entries.mailbox_id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)))
        AND entries.status = 'claimed'
))
