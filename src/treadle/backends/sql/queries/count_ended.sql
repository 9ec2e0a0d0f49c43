SELECT status, COUNT(*)
FROM entries {index:entries_ended}
WHERE ended_at < :ended_before
    AND status NOT IN ('queued', 'claimed') -- it has a time of its end only by damage
    AND entry_id {not_in:loaded}
GROUP BY status
