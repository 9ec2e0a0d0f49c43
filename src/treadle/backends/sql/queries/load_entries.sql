SELECT {entry_columns}
FROM entries
{payloads:LEFT JOIN}
WHERE entry_id {in:ids}
