-- Lock one mailbox for a claim, and return the time of the claim; see lock_ready.sql.
SELECT
    COALESCE(:now::bigint, (extract(epoch FROM now()) * 1000)::bigint),
    set_config('treadle.locked', COALESCE(json_agg(locked.mailbox_id), '[]')::text, true)
FROM (
    SELECT mailbox_id FROM mailboxes WHERE mailbox_id = :mailbox_id FOR NO KEY UPDATE
) AS locked
