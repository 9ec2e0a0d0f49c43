DELETE FROM entries
WHERE ended_at < :older_than
    AND status NOT IN ('queued', 'claimed')
    AND entry_id {not_in:loaded}
