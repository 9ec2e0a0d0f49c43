SELECT {entry_columns}
FROM {entry_tables}
WHERE entry_id = ANY (ARRAY(
    SELECT claimed.entry_id
    FROM entries AS claimed
    WHERE claimed.status = 'claimed'
        AND claimed.mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(:mailboxes::json)
            UNION ALL
            SELECT entries.mailbox_id
            FROM entries
            WHERE entries.entry_id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)))
        ))
))
