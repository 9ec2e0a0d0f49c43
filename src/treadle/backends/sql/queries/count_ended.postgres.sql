SELECT COUNT(*)
FROM entries
WHERE ended_at < :older_than
    AND entry_id <> ALL (ARRAY(SELECT json_array_elements_text(:loaded::json)))
