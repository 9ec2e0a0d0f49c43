SELECT {entry_columns}
FROM entries {index:entries_stopped_of_mailbox}
{payloads:JOIN}
WHERE ended_at IS NOT NULL AND status <> 'accepted' AND {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
