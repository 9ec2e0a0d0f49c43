-- How many heads of a priority are due, at most `:look`.
SELECT COUNT(*)
FROM (
    SELECT 1
    FROM (
        SELECT * FROM queue_heads WHERE blocked = 0 AND priority = :priority AND kind = 0
        UNION ALL
        SELECT * FROM queue_heads
        WHERE blocked = 0 AND priority = :priority AND kind = 1 AND available_at <= :now
        UNION ALL
        SELECT * FROM queue_heads
        WHERE blocked = 0 AND priority = :priority AND kind = 2 AND available_at <= :now
    ) AS heads
    LIMIT :look
) AS looked
