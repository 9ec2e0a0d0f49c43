-- Of the mailboxes that were locked: what is claimed, and the queue heads.
SELECT {entry_columns}
FROM entries
JOIN payloads USING (entry_id, mailbox_id, created_at)
WHERE entry_id = ANY (ARRAY(
    SELECT queue_heads.entry_id
    FROM queue_heads
    WHERE queue_heads.mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(current_setting('treadle.chosen')::json)
        ))
        AND queue_heads.available_at <= current_setting('treadle.now')::bigint
    UNION ALL
    SELECT entries.entry_id
    FROM entries
    WHERE entries.mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(current_setting('treadle.chosen')::json)
        ))
        AND entries.status = 'claimed'
))
