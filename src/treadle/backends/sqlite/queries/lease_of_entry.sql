SELECT mailboxes.lease_until
FROM entries
JOIN mailboxes ON mailboxes.mailbox_id = entries.mailbox_id
WHERE entries.entry_id = :entry_id
