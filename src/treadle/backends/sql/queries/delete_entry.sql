DELETE FROM entries
WHERE entry_id = :entry_id
