SELECT {claim_columns}
FROM entries {index:entries_of_mailbox}
WHERE mailbox_id {in:ids}
