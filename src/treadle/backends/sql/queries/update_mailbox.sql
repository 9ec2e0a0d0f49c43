UPDATE mailboxes
SET current_generation = :current_generation,
    updated_at = :updated_at,
    extra = :extra
WHERE mailbox_id = :mailbox_id
