-- What waits in the mailbox is sorted, so its payloads come later.
SELECT {entry_columns}
FROM entries
{payloads:LEFT JOIN}
WHERE entry_id {in:
    SELECT entry_id
    FROM entries {index:entries_queued}
    WHERE status = 'queued' AND {conditions}
    ORDER BY {sort}
    LIMIT :limit OFFSET :offset
}
ORDER BY {sort}
