SELECT collection, key, version, created_at, updated_at, expires_at
FROM documents {index:documents_expiring}
WHERE expires_at < :expired_before
ORDER BY {sorted:collection, key}
{lock:FOR UPDATE}
