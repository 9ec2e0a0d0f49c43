-- Only payloads have an index of a whole mailbox: no claim writes to it.
SELECT {claim_columns}
FROM payloads
JOIN entries USING (entry_id, mailbox_id, created_at)
WHERE payloads.mailbox_id {in:ids}
