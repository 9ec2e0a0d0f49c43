-- Of the mailboxes that were locked: what is claimed, and what is first in each lane.
SELECT {entry_columns}
FROM {entry_tables}
WHERE entry_id = ANY (ARRAY(
    SELECT lanes.entry_id
    FROM lanes
    WHERE lanes.mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(current_setting('treadle.chosen')::json)
        ))
        AND lanes.available_at <= current_setting('treadle.now')::bigint
    UNION ALL
    SELECT entries.entry_id
    FROM entries
    WHERE entries.mailbox_id = ANY (ARRAY(
            SELECT json_array_elements_text(current_setting('treadle.chosen')::json)
        ))
        AND entries.status = 'claimed'
))
