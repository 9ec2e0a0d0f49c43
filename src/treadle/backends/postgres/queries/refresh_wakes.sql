-- Bring `wakes_at` up to date, the indexed end of a lease, in the locked mailboxes whose lease was
-- renewed: a renewal writes no indexed column.
UPDATE mailboxes
SET wakes_at = lease_until
WHERE mailbox_id = ANY (ARRAY(
        SELECT json_array_elements_text(current_setting('treadle.locked')::json)
    ))
    AND COALESCE(wakes_at, lease_until) < lease_until
