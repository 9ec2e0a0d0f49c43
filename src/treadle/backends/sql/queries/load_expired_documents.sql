-- What another transaction holds is purged, or written again, by that one.
SELECT collection, key, version, created_at, updated_at, expires_at
FROM documents {index:documents_expiring}
WHERE expires_at < :expired_before
ORDER BY expires_at, {sorted:collection, key}
LIMIT :number
{lock:FOR UPDATE SKIP LOCKED}
