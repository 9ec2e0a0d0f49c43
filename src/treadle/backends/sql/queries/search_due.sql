SELECT {entry_columns}
FROM entries {index:entries_due}
{payloads:JOIN}
WHERE {unfinished:queued} AND {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
