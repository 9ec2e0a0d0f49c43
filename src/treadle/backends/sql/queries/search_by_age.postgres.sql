-- Payloads come first, because their indexes have the order: no claim changes them.
SELECT {entry_columns}
FROM payloads
JOIN entries USING (entry_id, mailbox_id, created_at)
WHERE {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
