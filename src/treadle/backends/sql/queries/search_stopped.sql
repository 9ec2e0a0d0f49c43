SELECT {entry_columns}
FROM entries {index:entries_stopped_of_mailbox}
{payloads:JOIN}
WHERE status IN ('superseded', 'cancelled', 'dead_letter') AND {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
