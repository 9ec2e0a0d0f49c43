-- What waits in the mailbox is sorted.
SELECT {entry_columns}
FROM entries {index:entries_queued}
{payloads:JOIN}
WHERE status = 'queued' AND {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
