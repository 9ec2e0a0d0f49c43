INSERT INTO mailboxes (mailbox_id, current_generation, updated_at, extra)
VALUES (:mailbox_id, :current_generation, :updated_at, :extra)
