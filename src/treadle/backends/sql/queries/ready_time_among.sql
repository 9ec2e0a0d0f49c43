-- When the first head of some mailboxes is due that is not blocked, as far as it is among the first
-- heads of its kind that are; and whether a kind has more of them, and none was found.
WITH RECURSIVE {priorities},
kinds (kind) AS (VALUES (0), (1), (2)),
found (priority, kind, time) AS (
    SELECT
        priorities.priority,
        kinds.kind,
        (
            SELECT CASE WHEN heads.kind = 0 THEN 0 ELSE heads.available_at END
            FROM (
                SELECT * FROM queue_heads
                WHERE queue_heads.blocked = 0
                    AND queue_heads.priority = priorities.priority
                    AND queue_heads.kind = kinds.kind
                ORDER BY queue_heads.available_at
                LIMIT :look
            ) AS heads
            WHERE {conditions}
            LIMIT 1
        )
    FROM priorities
    CROSS JOIN kinds
)
SELECT
    MIN(found.time),
    COALESCE(MAX(CASE
        WHEN found.time IS NULL AND (
            SELECT COUNT(*)
            FROM (
                SELECT 1 FROM queue_heads
                WHERE queue_heads.blocked = 0
                    AND queue_heads.priority = found.priority
                    AND queue_heads.kind = found.kind
                -- The order of an index, so that PostgreSQL goes by it.
                ORDER BY queue_heads.available_at
                LIMIT :look
            ) AS first
        ) >= :look THEN 1
        ELSE 0
    END), 0)
FROM found
