SELECT {claim_columns}
FROM entries {index:entries_claimed}
WHERE status = 'claimed' AND mailbox_id {in:ids}
