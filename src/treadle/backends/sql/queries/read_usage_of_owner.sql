-- An owner has few of all runs, so they are not looked for among these by age.
SELECT run_id, runs.body, run_times.begun_at, run_times.owner
FROM run_times
LEFT JOIN runs USING (run_id)
WHERE run_id {in:
    SELECT run_id
    FROM run_times
    WHERE {conditions}
    ORDER BY {sort}
    LIMIT :limit
}
ORDER BY {sort}
