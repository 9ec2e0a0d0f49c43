SELECT {claim_columns}
FROM entries {index:entries_claimed}
WHERE status = 'claimed'
    AND mailbox_id {in:
        {list:mailboxes}
        UNION ALL
        SELECT beside.mailbox_id FROM entries AS beside WHERE beside.entry_id {in:ids}
    }
