SELECT COUNT(*)
FROM run_times
JOIN runs USING (run_id)
WHERE {conditions}
