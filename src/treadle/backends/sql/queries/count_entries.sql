SELECT status, COUNT(*)
FROM {entry_tables}
WHERE {conditions}
GROUP BY status
