SELECT in_status, COUNT(*)
FROM run_times
WHERE {conditions}
GROUP BY in_status
