SELECT {claim_columns}
FROM entries
WHERE entry_id {in:ids}
