-- Payloads, although no column of theirs is counted: they have the index of a mailbox.
SELECT status, COUNT(*)
FROM entries
JOIN payloads USING (entry_id, mailbox_id, created_at)
WHERE {conditions}
GROUP BY status
