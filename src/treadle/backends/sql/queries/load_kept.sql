-- The retries that keep their order in the mailbox of an entry.
SELECT {claim_columns}
FROM entries {index:entries_queued}
WHERE status = 'queued'
    AND kind = 1
    AND (mailbox_id, priority) IN (
        SELECT queue_heads.mailbox_id, queue_heads.priority
        FROM queue_heads
        WHERE queue_heads.kind = 1
            AND queue_heads.mailbox_id = (
                SELECT named.mailbox_id FROM entries AS named WHERE named.entry_id = :entry_id
            )
    )
