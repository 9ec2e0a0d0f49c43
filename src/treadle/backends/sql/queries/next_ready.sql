-- When the first head is due that is not blocked. Those of kind 0 are due at any time.
WITH RECURSIVE {priorities},
kinds (kind) AS (VALUES (0), (1), (2))
SELECT MIN((
    SELECT CASE WHEN kinds.kind = 0 THEN 0 ELSE queue_heads.available_at END
    FROM queue_heads
    WHERE queue_heads.blocked = 0
        AND queue_heads.priority = priorities.priority
        AND queue_heads.kind = kinds.kind
    ORDER BY queue_heads.available_at
    LIMIT 1
))
FROM priorities
CROSS JOIN kinds
