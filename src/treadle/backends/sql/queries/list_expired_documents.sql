SELECT collection, key, version, created_at, updated_at, expires_at, extra, 'null'
FROM documents {index:documents_expiring}
WHERE expires_at <= {now:now}
ORDER BY expires_at, {sorted:collection, key}
LIMIT :limit OFFSET :offset
