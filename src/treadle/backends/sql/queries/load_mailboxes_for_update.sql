SELECT mailbox_id, current_generation, updated_at, extra
FROM mailboxes
WHERE mailbox_id IN (
    SELECT value FROM json_each(:ids)
    UNION
    SELECT mailbox_id FROM entries WHERE entry_id IN (SELECT value FROM json_each(:entries))
)
