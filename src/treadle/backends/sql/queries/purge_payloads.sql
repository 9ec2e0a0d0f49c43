DELETE FROM payloads
WHERE entry_id IN (
    SELECT entries.entry_id
    FROM entries
    WHERE entries.ended_at < :older_than
        AND entries.status NOT IN ('queued', 'claimed')
        AND entries.entry_id {not_in:loaded}
)
