-- Who gives a thread an owner and who writes a run of it wait for each other, for neither sees what the
-- other one has not committed. The thread may not exist yet, so it is its id that is locked.
SELECT pg_advisory_xact_lock(hashtextextended(sorted.of_thread, 1))
FROM (SELECT of_thread FROM {given:of_thread} ORDER BY of_thread) AS sorted
