SELECT {entry_columns}
FROM entries {index:entries_undelayed}
{payloads:JOIN}
WHERE kind = 0 AND {unfinished:queued} AND {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
