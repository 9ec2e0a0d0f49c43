SELECT {columns:mailboxes}
FROM mailboxes
WHERE {conditions}
ORDER BY {sort}
LIMIT :limit OFFSET :offset
