-- The runs that are named, the active ones of entries that may end, and those that wait in some
-- threads. They are locked together, in the order of their ids, so that no two transactions wait
-- for each other.
SELECT run_id, body
FROM runs
WHERE run_id {in:
    {list:ids}
    UNION ALL
    SELECT active.run_id
    FROM runs AS active {index:runs_of_entry}
    WHERE active.status || '' <> 'done' AND active.source_mailbox_entry_id {in:
        {list:entries}
        UNION ALL
        SELECT entry_id FROM entries {index:entries_queued}
        WHERE mailbox_id {in:mailboxes} AND status = 'queued'
        UNION ALL
        SELECT entry_id FROM entries {index:entries_claimed}
        WHERE mailbox_id {in:mailboxes} AND status = 'claimed'
        UNION ALL
        SELECT payloads.entry_id
        FROM {pairs:pairs}
        JOIN payloads {index:payloads_by_dedupe_key}
            ON payloads.mailbox_id = asked.id AND {equal:payloads.dedupe_key = asked.text}
    }
    UNION ALL
    SELECT waiting.run_id
    FROM runs AS waiting {index:runs_active}
    WHERE waiting.status <> 'done' AND waiting.thread_id {in:threads}
        AND waiting.status = 'waiting' AND waiting.source_mailbox_entry_id IS NOT NULL
}
ORDER BY run_id
{lock:FOR NO KEY UPDATE}
