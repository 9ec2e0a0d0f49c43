SELECT COUNT(*)
FROM threads
WHERE {conditions}
