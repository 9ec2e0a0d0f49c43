-- Joins payloads, although it counts none of their columns: on PostgreSQL, their index has the order.
SELECT
    COUNT(CASE WHEN status = 'accepted' THEN 1 END),
    COUNT(CASE WHEN status = 'superseded' THEN 1 END),
    COUNT(CASE WHEN status = 'cancelled' THEN 1 END),
    COUNT(*)
FROM (
    SELECT status
    FROM entries
    JOIN payloads USING (entry_id, mailbox_id, created_at)
    WHERE mailbox_id = :mailbox_id
    ORDER BY created_at DESC, entry_id DESC
    LIMIT :limit
) AS newest
