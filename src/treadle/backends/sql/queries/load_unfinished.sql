-- Two ranges of two partial indexes: one index of all statuses would hold every entry that has
-- ended.
SELECT {entry_columns}
FROM entries {index:entries_queued}
JOIN (
    SELECT entry_id AS of_entry, mailbox_id AS in_mailbox, created_at AS sent_at, {payload_columns}
    FROM payloads
) AS body
    ON {once:body.of_entry = entry_id}
    AND {once:body.in_mailbox = mailbox_id}
    AND {once:body.sent_at = created_at}
WHERE mailbox_id {in:ids} AND status = 'queued'
UNION ALL
SELECT {entry_columns}
FROM entries {index:entries_claimed}
JOIN (
    SELECT entry_id AS of_entry, mailbox_id AS in_mailbox, created_at AS sent_at, {payload_columns}
    FROM payloads
) AS body
    ON {once:body.of_entry = entry_id}
    AND {once:body.in_mailbox = mailbox_id}
    AND {once:body.sent_at = created_at}
WHERE mailbox_id {in:ids} AND status = 'claimed'
