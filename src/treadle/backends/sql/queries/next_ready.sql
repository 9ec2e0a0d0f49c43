WITH RECURSIVE {steps}
SELECT MIN((SELECT MIN(lanes.available_at) FROM lanes
            WHERE lanes.parked = 0 AND lanes.priority = steps.priority))
FROM steps
