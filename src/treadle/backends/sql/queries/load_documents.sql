SELECT {columns:documents}
FROM documents
WHERE collection = :collection AND key {in:keys} AND {live:now}
