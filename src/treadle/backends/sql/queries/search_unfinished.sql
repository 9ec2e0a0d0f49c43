SELECT {entry_columns}
FROM entries {index:entries_unfinished_of_mailbox}
{payloads:JOIN}
WHERE {unfinished:queued, claimed} AND {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
