SELECT {entry_columns}
FROM {entry_tables}
WHERE entry_id = ANY (ARRAY(
    SELECT payloads.entry_id
    FROM json_array_elements(:pairs::json) AS asked (pair)
    JOIN payloads ON payloads.mailbox_id = asked.pair ->> 0
        AND hashtextextended(payloads.dedupe_key, 0) = hashtextextended(asked.pair ->> 1, 0)
        AND payloads.dedupe_key = asked.pair ->> 1
))
