SELECT {columns:runs}, of_thread, in_status, begun_at, changed_at, owner,
    (SELECT resource_id FROM threads WHERE threads.thread_id = runs.thread_id) AS resource_id
FROM runs
LEFT JOIN run_times USING (run_id)
