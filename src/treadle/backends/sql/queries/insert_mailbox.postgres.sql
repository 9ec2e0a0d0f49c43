INSERT INTO mailboxes (
    mailbox_id, current_generation, updated_at, extra
)
SELECT
    mailbox_id, current_generation, updated_at, extra
FROM json_to_recordset(:rows::json) AS given (
    mailbox_id text, current_generation bigint, updated_at bigint, extra text
)
