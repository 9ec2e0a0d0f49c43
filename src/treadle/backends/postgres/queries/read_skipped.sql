-- The mailboxes that would come first and were skipped, and whether because of a commit, which is
-- changing them or was a moment ago. With a commit, the claim is tried again: what it would give out
-- without them could be explained by no order of the claim and the commit
-- (docs/decisions/0006-many-writers.md). The others were skipped because of another claim, which
-- takes what is first in them.
--
-- Two strengths of locks tell them apart. Commits lock mailboxes FOR UPDATE
-- (load_mailboxes_for_update.sql), claims FOR NO KEY UPDATE. FOR KEY SHARE is refused by the first
-- and granted beside the second.
WITH RECURSIVE {priorities},
clock (now) AS (SELECT {claim_time}),
-- The last head that the claim takes.
last AS (
    SELECT priority, available_at, created_at, entry_id
    FROM queue_heads AS heads
    WHERE heads.mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(current_setting('treadle.ready')::json)
        ))
        AND heads.blocked <> 1 -- not `= 0`: see `_BETTER`
        AND (heads.kind = 0 OR heads.available_at <= (SELECT now FROM clock))
        AND NOT EXISTS ({better})
    ORDER BY priority, available_at DESC, created_at DESC, entry_id DESC
    LIMIT 1
),
front AS (
    SELECT found.mailbox_id
    FROM priorities
    CROSS JOIN LATERAL ({ready_mailboxes}) AS found
    LIMIT :limit
),
-- More than :limit, if some of those were skipped.
before_last AS (
    SELECT found.mailbox_id
    FROM last
    CROSS JOIN (VALUES (0), (1), (2)) AS kinds (kind)
    CROSS JOIN LATERAL (
        SELECT heads.mailbox_id
        FROM queue_heads AS heads
        WHERE heads.blocked = 0 AND heads.priority = last.priority AND heads.kind = kinds.kind
            AND (heads.available_at, heads.created_at, heads.entry_id)
                <= (last.available_at, last.created_at, last.entry_id)
            AND (heads.kind = 0 OR heads.available_at <= (SELECT now FROM clock))
            AND NOT EXISTS ({better})
        -- By an order, the planner takes the index that has it, and not the primary key.
        ORDER BY heads.available_at, heads.created_at, heads.entry_id
    ) AS found
    UNION ALL
    SELECT heads.mailbox_id
    FROM queue_heads AS heads
    CROSS JOIN last
    WHERE heads.blocked = 0
        AND heads.priority > last.priority
        AND (heads.kind = 0 OR heads.available_at <= (SELECT now FROM clock))
        AND NOT EXISTS ({better})
),
expired AS ({expired_mailboxes}),
{skipped}
