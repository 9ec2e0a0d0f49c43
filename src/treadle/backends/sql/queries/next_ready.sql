WITH RECURSIVE {priorities}
SELECT MIN((SELECT MIN(queue_heads.available_at) FROM queue_heads
            WHERE queue_heads.blocked = 0 AND queue_heads.priority = priorities.priority))
FROM priorities
