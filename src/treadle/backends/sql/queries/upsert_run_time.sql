-- The owner of a run is that of its thread.
INSERT INTO run_times (run_id, of_thread, in_status, begun_at, changed_at, owner)
SELECT
    given.run_id, given.of_thread, given.in_status, given.begun_at, given.changed_at,
    threads.resource_id
FROM {given:run_id, of_thread, in_status, begun_at, changed_at}
LEFT JOIN threads ON threads.thread_id = given.of_thread
-- Without this WHERE, SQLite would read ON CONFLICT as the condition of the join.
WHERE true
ON CONFLICT (run_id) DO UPDATE
SET of_thread = excluded.of_thread,
    in_status = excluded.in_status,
    begun_at = excluded.begun_at,
    changed_at = excluded.changed_at,
    owner = excluded.owner
