SELECT threads.thread_id, messages.message_id
FROM json_array_elements(:pairs::json) AS asked (pair)
JOIN threads ON threads.thread_id = asked.pair ->> 0
JOIN messages ON messages.thread_key = threads.thread_key
    AND hashtextextended(messages.message_id, 0) = hashtextextended(asked.pair ->> 1, 0)
    AND messages.message_id = asked.pair ->> 1
