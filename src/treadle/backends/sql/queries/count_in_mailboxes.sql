SELECT mailbox_id, status, COUNT(*), MIN(available_at)
FROM entries {index:entries_of_mailbox}
WHERE mailbox_id {in:ids}
GROUP BY mailbox_id, status
