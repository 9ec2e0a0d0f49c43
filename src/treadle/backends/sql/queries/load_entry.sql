SELECT {entry_columns}
FROM {entry_tables}
WHERE entry_id = :entry_id
