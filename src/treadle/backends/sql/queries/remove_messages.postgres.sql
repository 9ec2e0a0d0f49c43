DELETE FROM messages
USING {given:thread_id, position}
JOIN threads ON threads.thread_id = given.thread_id
WHERE messages.thread_key = threads.thread_key AND messages.position >= given.position
