SELECT set_config('treadle.chosen', COALESCE(json_agg(chosen.mailbox_id), '[]')::text, true)
FROM (
    SELECT mailbox_id
    FROM mailboxes
    WHERE mailbox_id = (SELECT entries.mailbox_id FROM entries WHERE entries.entry_id = :entry_id)
    FOR NO KEY UPDATE
) AS chosen
