SELECT thread_id
FROM threads
WHERE {conditions}
ORDER BY thread_id
LIMIT :limit OFFSET :offset
