DELETE FROM entries
WHERE ended_at < :older_than AND entry_id {not_in:loaded}
