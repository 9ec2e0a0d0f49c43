SELECT MIN(wakes_at)
FROM mailboxes
WHERE wakes_at IS NOT NULL
