-- The entries are found first, by themselves: a join might look for each payload among all of them.
WITH asked AS (
    SELECT *
    FROM json_to_recordset(:rows::json)
        AS given (ended_before bigint, statuses text, loaded text, counted bigint)
)
DELETE FROM payloads
WHERE entry_id = ANY (ARRAY(
    SELECT entries.entry_id
    FROM entries
    WHERE entries.ended_at < (SELECT ended_before FROM asked)
        AND entries.status IN (SELECT json_array_elements_text(statuses::json) FROM asked)
        AND entries.entry_id NOT IN (SELECT json_array_elements_text(loaded::json) FROM asked)
))
