-- SQLite goes by the entries of a mailbox, and PostgreSQL by its payloads: only there has it an
-- index of a whole mailbox.
SELECT {claim_columns}
FROM entries {index:entries_of_mailbox}
JOIN payloads USING (entry_id, mailbox_id, created_at)
WHERE entries.mailbox_id {in:ids} AND payloads.mailbox_id {in:ids}
