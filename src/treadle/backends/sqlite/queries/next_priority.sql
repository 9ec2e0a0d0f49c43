SELECT MAX(priority) FROM queue_heads WHERE blocked = 0 AND priority < :below
