-- Joins payloads, although it counts none of their columns: their index finds those of a mailbox.
SELECT status, COUNT(*)
FROM entries
JOIN payloads USING (entry_id, mailbox_id, created_at)
WHERE {conditions}
GROUP BY status
