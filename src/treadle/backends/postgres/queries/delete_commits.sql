-- Of writers that are gone, or have nothing in doubt any more.
DELETE FROM commits
WHERE committed_at < now() - interval '1 day'
