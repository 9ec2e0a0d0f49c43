-- What waits first in some mailboxes, from each of their queues, and what is claimed there.
SELECT {entry_columns}
FROM entries
{payloads:JOIN}
WHERE entry_id {in:
    SELECT each_row.value
    FROM queue_heads
    CROSS JOIN {each:
        SELECT queued.entry_id AS value
        FROM entries AS queued {index:entries_queued}
        WHERE queued.mailbox_id = queue_heads.mailbox_id
            AND queued.priority = queue_heads.priority
            AND queued.kind = queue_heads.kind
            AND queued.status = 'queued'
        ORDER BY queued.turn, queued.available_at, queued.created_at, queued.entry_id
        LIMIT :number
    }
    WHERE queue_heads.mailbox_id {in:
        {list:mailboxes}
        UNION ALL
        SELECT beside.mailbox_id FROM entries AS beside WHERE beside.entry_id {in:ids}
    }
}
UNION ALL
SELECT {entry_columns}
FROM entries {index:entries_claimed}
{payloads:JOIN}
WHERE status = 'claimed'
    AND mailbox_id {in:
        {list:mailboxes}
        UNION ALL
        SELECT beside.mailbox_id FROM entries AS beside WHERE beside.entry_id {in:ids}
    }
