-- The mailbox of an entry, if it is paused.
WITH clock (now) AS (VALUES (:now))
SELECT mailbox_id
FROM mailboxes
WHERE mailbox_id = (SELECT entries.mailbox_id FROM entries WHERE entries.entry_id = :entry_id)
    AND {paused}
