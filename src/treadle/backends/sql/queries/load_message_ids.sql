SELECT threads.thread_id, messages.message_id, messages.position
FROM {pairs:pairs}
JOIN threads ON threads.thread_id = asked.id
JOIN messages ON {id_in_thread:messages.message_id = asked.text}
