UPDATE mailboxes
SET wakes_at = lease_until
WHERE mailbox_id = ANY (ARRAY(
        SELECT json_array_elements_text(current_setting('treadle.chosen')::json)
    ))
    AND COALESCE(wakes_at, lease_until) < lease_until
