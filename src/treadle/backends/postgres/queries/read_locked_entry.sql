-- The entry, and the claimed entries of its mailbox and the retries that keep their order there, if it
-- is locked.
SELECT {entry_columns}
FROM entries
{payloads:LEFT JOIN}
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
    UNION
    SELECT entries.entry_id
    FROM queue_heads
    JOIN entries
        ON entries.mailbox_id = queue_heads.mailbox_id AND entries.priority = queue_heads.priority
    WHERE queue_heads.mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(current_setting('treadle.locked')::json)
        ))
        AND queue_heads.kind = 1
        AND entries.kind = 1
        AND entries.status = 'queued'
))
