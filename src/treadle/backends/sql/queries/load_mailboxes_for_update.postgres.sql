-- FOR UPDATE, where NO KEY UPDATE would do: so a claim that meets the lock can tell that it is not
-- another claim's.
SELECT mailbox_id, current_generation, updated_at, extra
FROM mailboxes
WHERE mailbox_id = ANY (ARRAY(
    SELECT json_array_elements_text(:ids::json)
    UNION ALL
    SELECT entries.mailbox_id
    FROM entries
    WHERE entries.entry_id = ANY (ARRAY(SELECT json_array_elements_text(:entries::json)))
))
ORDER BY mailbox_id
FOR UPDATE
