DELETE FROM entries INDEXED BY entries_ended
WHERE status IN ('accepted', 'superseded', 'cancelled', 'dead_letter')
    AND updated_at < :older_than
    AND entry_id NOT IN (SELECT value FROM json_each(:loaded))
