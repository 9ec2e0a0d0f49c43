-- The claimed entries of the locked mailboxes, and their queue heads that are due.
SELECT {entry_columns}
FROM entries
JOIN payloads USING (entry_id, mailbox_id, created_at)
WHERE entry_id = ANY (ARRAY(
    SELECT queue_heads.entry_id
    FROM queue_heads
    WHERE queue_heads.mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(current_setting('treadle.locked')::json)
        ))
        AND queue_heads.available_at
            <= COALESCE(:now::bigint, (extract(epoch FROM now()) * 1000)::bigint)
    UNION ALL
    SELECT entries.entry_id
    FROM entries
    WHERE entries.mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(current_setting('treadle.locked')::json)
        ))
        AND entries.status = 'claimed'
))
