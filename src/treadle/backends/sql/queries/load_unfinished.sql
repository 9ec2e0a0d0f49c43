-- Two ranges of two partial indexes: one index of all statuses would hold every entry that has
-- ended.
SELECT {entry_columns}
FROM entries {index:entries_queued}
{payloads:JOIN}
WHERE mailbox_id {in:ids} AND status = 'queued'
UNION ALL
SELECT {entry_columns}
FROM entries {index:entries_claimed}
{payloads:JOIN}
WHERE mailbox_id {in:ids} AND status = 'claimed'
