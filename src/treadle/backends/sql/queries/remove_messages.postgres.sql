-- Two bounds, though nothing is behind the second one: of a range without an end PostgreSQL expects a
-- third of the thread, and it would rather read all threads.
DELETE FROM messages
USING {given:thread_id, position, message_count}
JOIN threads ON threads.thread_id = given.thread_id
WHERE messages.thread_key = threads.thread_key
    AND messages.position >= given.position AND messages.position < given.message_count
