UPDATE run_times
SET owner = (
    SELECT given.owner
    FROM {given:of_thread, owner}
    WHERE given.of_thread = run_times.of_thread
)
WHERE of_thread {in:SELECT given.of_thread FROM {given:of_thread, owner}}
