-- Locked in the order of their ids, as those of runs that are closed meanwhile.
UPDATE run_times
SET owner = (
    SELECT given.owner
    FROM {given:of_thread, owner}
    WHERE given.of_thread = run_times.of_thread
)
WHERE run_id {in:
    SELECT owned.run_id
    FROM run_times AS owned
    WHERE owned.of_thread {in:SELECT given.of_thread FROM {given:of_thread, owner}}
    ORDER BY {sorted:owned.run_id}
    {lock:FOR NO KEY UPDATE}
}
