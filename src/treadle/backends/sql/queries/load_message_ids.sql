SELECT threads.thread_id, messages.message_id, messages.position
FROM {pairs:pairs}
JOIN threads ON threads.thread_id = asked.id
JOIN messages ON messages.thread_key = threads.thread_key
    AND {equal:messages.message_id = asked.text}
