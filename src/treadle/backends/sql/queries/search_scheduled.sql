SELECT {entry_columns}
FROM entries {index:entries_scheduled}
{payloads:JOIN}
WHERE kind <> 0 AND attempt_count = 0 AND {in_status:queued} AND {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
