-- The claimed entries of the locked mailboxes, and their queue heads that are due, or that hold back
-- others; before each, the mailbox, the priority, the kind and the id that name it. Its columns are
-- NULL if it is missing.
WITH named (named_in, named_at, named_kind, named) AS (
    SELECT queue_heads.mailbox_id, queue_heads.priority, queue_heads.kind, queue_heads.entry_id
    FROM queue_heads
    WHERE queue_heads.mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(current_setting('treadle.locked')::json)
        ))
        AND (
            queue_heads.kind <> 2
            OR queue_heads.available_at <= {claim_time}
        )
    UNION ALL
    SELECT entries.mailbox_id, NULL, NULL, entries.entry_id
    FROM entries
    WHERE entries.mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(current_setting('treadle.locked')::json)
        ))
        AND entries.status = 'claimed'
    UNION ALL
    -- A mailbox with a lease and no claimed entry is damaged; the claim has to know of it.
    SELECT mailboxes.mailbox_id, NULL, NULL, NULL
    FROM mailboxes
    WHERE mailboxes.mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(current_setting('treadle.locked')::json)
        ))
        AND mailboxes.lease_until IS NOT NULL
        AND (
            SELECT COUNT(*)
            FROM entries
            WHERE entries.mailbox_id = mailboxes.mailbox_id AND entries.status = 'claimed'
        ) = 0
)
SELECT named_in, named_at, named_kind, named, {entry_columns}
FROM named
LEFT JOIN LATERAL (
    SELECT {entry_columns}
    FROM entries
    {payloads:LEFT JOIN}
    WHERE {once:entries.entry_id = named.named}
) AS entry ON true
