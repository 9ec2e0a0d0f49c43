-- Joins payloads, although it reads none of their columns: their index finds those of a mailbox.
SELECT mailbox_id, status, COUNT(*), MIN(available_at)
FROM payloads
JOIN entries USING (entry_id, mailbox_id, created_at)
WHERE mailbox_id {in:ids}
GROUP BY mailbox_id, status
