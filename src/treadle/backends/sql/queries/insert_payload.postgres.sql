INSERT INTO payloads (
    entry_id, mailbox_id, created_at, origin, sender_id, dedupe_key, extra, payload
)
SELECT
    entry_id, mailbox_id, created_at, origin, sender_id, dedupe_key, extra, payload
FROM json_to_recordset(:rows::json) AS given (
    entry_id text, mailbox_id text, created_at bigint, origin text, sender_id text,
    dedupe_key text, extra text, payload text
)
