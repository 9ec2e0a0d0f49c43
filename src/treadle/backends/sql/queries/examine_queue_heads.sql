SELECT {columns:queue_heads}
FROM queue_heads
