-- The runs that are named, and the active ones of entries whose claims end. It is apart from
-- load_runs_of_entries because every ack asks it: this is planned and run in less time.
SELECT run_id, body
FROM runs
WHERE run_id {in:
    {list:ids}
    UNION ALL
    SELECT active.run_id
    FROM runs AS active {index:runs_of_entry}
    WHERE active.status || '' <> 'done' AND active.source_mailbox_entry_id {in:entries}
}
ORDER BY run_id
{lock:FOR NO KEY UPDATE}
