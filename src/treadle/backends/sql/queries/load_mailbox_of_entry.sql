SELECT {columns:mailboxes}
FROM mailboxes
WHERE mailbox_id = (SELECT entries.mailbox_id FROM entries WHERE entries.entry_id = :entry_id)
