-- A transaction that gives a thread an owner and one that writes a run of the thread wait for each other,
-- because neither sees what the other has not committed. The thread may not exist yet, so its id is locked.
-- The number of the table is shared, for lock_all_owners.sql.
SELECT
    pg_advisory_xact_lock_shared('threads'::regclass::oid::bigint),
    pg_advisory_xact_lock(hashtextextended(sorted.of_thread, 1))
FROM (SELECT of_thread FROM {given:of_thread} ORDER BY of_thread) AS sorted
