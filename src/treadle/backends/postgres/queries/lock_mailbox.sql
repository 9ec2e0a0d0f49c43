SELECT set_config('treadle.chosen', COALESCE(json_agg(chosen.mailbox_id), '[]')::text, true)
FROM (
    SELECT mailbox_id FROM mailboxes WHERE mailbox_id = :mailbox_id FOR NO KEY UPDATE
) AS chosen
