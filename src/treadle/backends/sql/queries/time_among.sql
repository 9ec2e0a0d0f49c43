-- When the first head of some mailboxes is due that is not blocked, and how many heads were looked at.
SELECT
    MIN(CASE WHEN blocked = 0 THEN CASE WHEN kind = 0 THEN 0 ELSE available_at END END),
    COUNT(*)
FROM {heads_among:look} AS heads
