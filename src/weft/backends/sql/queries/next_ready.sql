WITH RECURSIVE steps (priority) AS (
    SELECT MAX(priority) FROM lanes WHERE parked = 0
    UNION ALL
    SELECT (SELECT MAX(lanes.priority) FROM lanes
            WHERE lanes.parked = 0 AND lanes.priority < steps.priority)
    FROM steps
    WHERE steps.priority IS NOT NULL
)
SELECT MIN((SELECT MIN(lanes.available_at) FROM lanes
            WHERE lanes.parked = 0 AND lanes.priority = steps.priority))
FROM steps
