DELETE FROM payloads
WHERE entry_id IN (
    SELECT entries.entry_id
    FROM entries {index:entries_ended}
    WHERE entries.ended_at < :ended_before
        AND entries.status {in:statuses}
        AND entries.entry_id {not_in:loaded}
)
