SELECT status, COUNT(*)
FROM entries
WHERE {conditions}
GROUP BY status
