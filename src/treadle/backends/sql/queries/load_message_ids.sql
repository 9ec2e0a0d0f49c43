SELECT threads.thread_id, messages.message_id
FROM json_each(:pairs) AS asked
JOIN threads ON threads.thread_id = json_extract(asked.value, '$[0]')
JOIN messages ON messages.thread_key = threads.thread_key
    AND messages.message_id = json_extract(asked.value, '$[1]')
