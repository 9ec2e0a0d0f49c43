SELECT {entry_columns}
FROM entries {index:entries_unfinished_of_mailbox}
JOIN payloads USING (entry_id, mailbox_id, created_at)
WHERE status IN ('queued', 'claimed') AND {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
