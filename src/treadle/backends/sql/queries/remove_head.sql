DELETE FROM queue_heads
WHERE mailbox_id = :mailbox_id AND priority = :priority AND entry_id = :entry_id
