DELETE FROM entries {index:entries_ended}
WHERE ended_at < :ended_before
    AND status {in:statuses}
    AND entry_id {not_in:loaded}
