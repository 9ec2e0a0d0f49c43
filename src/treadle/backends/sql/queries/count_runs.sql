SELECT COUNT(*)
FROM runs
WHERE {conditions}
