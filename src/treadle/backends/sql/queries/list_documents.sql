SELECT collection, key, version, created_at, updated_at, expires_at, extra,
    CASE WHEN :with_values = 1 THEN value ELSE 'null' END
FROM documents
WHERE collection = :collection AND {conditions} AND {live:now}
ORDER BY key {direction}
LIMIT :limit
