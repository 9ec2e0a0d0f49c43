-- The first entries of each paused mailbox are merged.
WITH clock (now) AS (SELECT {now:now})
SELECT {entry_columns}
FROM entries
{payloads:JOIN}
WHERE entry_id {in:
    SELECT value
    FROM mailboxes
    CROSS JOIN {each:
        SELECT entry_id AS value
        FROM entries {index:entries_unfinished_of_mailbox}
        {payloads:JOIN}
        WHERE {unfinished:queued} AND {listed:mailboxes.mailbox_id} AND {conditions}
        ORDER BY {sort}
        LIMIT CAST(:limit AS bigint) + CAST(:offset AS bigint)
    }
    WHERE {paused}
}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
