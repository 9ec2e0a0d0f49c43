-- After the lock of the thread: who puts a thread below another one locks that one, too.
SELECT thread_id FROM threads WHERE parent_thread_id = :parent_thread_id ORDER BY thread_id LIMIT :number
