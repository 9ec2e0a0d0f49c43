INSERT INTO payloads (entry_key, payload)
SELECT entry_key, :payload FROM entries WHERE entry_id = :entry_id
