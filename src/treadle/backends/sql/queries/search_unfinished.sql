SELECT {entry_columns}
FROM entries {index:entries_unfinished_of_mailbox}
{payloads:JOIN}
WHERE status || '' IN ('queued', 'claimed') AND {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
