SELECT collection, key, version, created_at, updated_at, expires_at
FROM documents
WHERE collection = :collection AND {conditions}
ORDER BY key
{lock:FOR UPDATE}
