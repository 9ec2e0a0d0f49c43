SELECT body
FROM runs
WHERE run_id = ANY (ARRAY(SELECT json_array_elements_text(:ids::json)))
ORDER BY run_id
FOR NO KEY UPDATE
