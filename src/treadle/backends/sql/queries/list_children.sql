-- The children of a thread in the order of a time are found by its index, and sorted. Without the LIMIT
-- around them, PostgreSQL's planner would rather read all threads in that order. Bodies come last, as
-- only those of the page are read.
SELECT page.thread_id, page.version, page.created_at, page.updated_at, page.message_count,
    thread_bodies.body
FROM (
    SELECT *
    FROM (
        SELECT *
        FROM threads
        WHERE parent_thread_id = :parent_thread_id
        LIMIT 9223372036854775807
    ) AS children
    WHERE {conditions}
    ORDER BY {sort}
    LIMIT :limit OFFSET :offset
) AS page
LEFT JOIN thread_bodies USING (thread_key)
ORDER BY {sort}
