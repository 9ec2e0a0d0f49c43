SELECT {entry_columns}
FROM entries
{payloads:JOIN}
WHERE {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
