UPDATE mailboxes
SET current_generation = given.current_generation,
    updated_at = given.updated_at,
    extra = given.extra
FROM json_to_recordset(:rows::json) AS given (
    mailbox_id text, current_generation bigint, updated_at bigint, extra text
)
WHERE mailboxes.mailbox_id = given.mailbox_id
