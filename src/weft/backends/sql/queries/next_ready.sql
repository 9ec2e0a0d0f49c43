SELECT MIN(available_at)
FROM lanes
WHERE parked = 0
