DELETE FROM lanes
WHERE mailbox_id = :mailbox_id AND priority = :priority AND entry_id = :entry_id
