-- The deltas before a truncation still show the messages that it removes.
INSERT INTO removed_messages (thread_key, position, version, body)
SELECT threads.thread_key, messages.position, given.version, messages.body
FROM {given:thread_id, position, version, message_count}
JOIN threads ON threads.thread_id = given.thread_id
JOIN messages ON messages.thread_key = threads.thread_key
    AND messages.position >= given.position AND messages.position < given.message_count
