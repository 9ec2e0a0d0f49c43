-- Delete the records of writers that have ended, or no longer look for them.
DELETE FROM commits
WHERE committed_at < now() - interval '1 day'
