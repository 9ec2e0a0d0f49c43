SELECT {entry_columns}
FROM {entry_tables}
WHERE entry_id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)))
