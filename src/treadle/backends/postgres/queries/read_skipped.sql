-- The mailboxes that would come first and were skipped because of a commit, which is changing them
-- or was a moment ago. The claim is then tried again: what it would give out without them could be
-- explained by no order of the claim and the commit (docs/decisions/0006-many-writers.md). Mailboxes
-- that were skipped because of another claim are not listed: that claim takes what is first in them.
--
-- Two strengths of locks tell them apart. Commits lock mailboxes FOR UPDATE
-- (load_mailboxes_for_update.sql), claims FOR NO KEY UPDATE. FOR KEY SHARE is refused by the first
-- and granted beside the second.
WITH RECURSIVE {priorities},
clock (now) AS (
    SELECT COALESCE(:now::bigint, (extract(epoch FROM now()) * 1000)::bigint)
),
front AS (
    SELECT heads.mailbox_id
    FROM priorities
    CROSS JOIN LATERAL (
        SELECT queue_heads.mailbox_id
        FROM queue_heads
        WHERE queue_heads.blocked = 0
            AND queue_heads.priority = priorities.priority
            AND queue_heads.available_at <= (SELECT now FROM clock)
        ORDER BY queue_heads.available_at, queue_heads.created_at, queue_heads.entry_id
        LIMIT :limit
    ) AS heads
    LIMIT :limit
),
skipped AS (
    SELECT mailbox_id FROM front
    UNION
    (
        SELECT mailbox_id
        FROM mailboxes
        WHERE wakes_at <= (SELECT now FROM clock)
        ORDER BY wakes_at
        LIMIT :expired
    )
    EXCEPT
    SELECT json_array_elements_text(current_setting('treadle.locked')::json)
),
-- No commit holds these: no transaction does, or a claim.
without_commit AS (
    SELECT mailbox_id
    FROM mailboxes
    WHERE mailbox_id = ANY (ARRAY(SELECT skipped.mailbox_id FROM skipped))
    FOR KEY SHARE SKIP LOCKED
),
-- No transaction holds these any longer, and no claim has taken from them: a commit has just ended.
released AS (
    SELECT mailbox_id
    FROM mailboxes
    WHERE mailbox_id = ANY (ARRAY(SELECT skipped.mailbox_id FROM skipped))
        AND COALESCE(lease_until, 0) <= (SELECT now FROM clock)
    FOR NO KEY UPDATE SKIP LOCKED
)
SELECT mailbox_id FROM skipped
EXCEPT
(
    SELECT mailbox_id FROM without_commit
    EXCEPT
    SELECT mailbox_id FROM released
)
