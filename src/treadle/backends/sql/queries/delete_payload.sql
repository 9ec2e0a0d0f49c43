DELETE FROM payloads
WHERE entry_key = (SELECT entry_key FROM entries WHERE entry_id = :entry_id)
