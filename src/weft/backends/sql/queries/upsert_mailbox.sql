INSERT INTO mailboxes (mailbox_id, current_generation, updated_at, extra)
VALUES (:mailbox_id, :current_generation, :updated_at, :extra)
ON CONFLICT (mailbox_id) DO UPDATE
SET current_generation = excluded.current_generation,
    updated_at = excluded.updated_at,
    extra = excluded.extra
