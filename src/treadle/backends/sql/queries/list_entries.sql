SELECT {entry_columns}
FROM {entry_tables}
WHERE {conditions}
ORDER BY created_at, entry_id
LIMIT :limit OFFSET :offset
