-- Divides by zero unless it deletes as many entries as were counted: another transaction was
-- faster, and this one is tried again. The statement goes out with the COMMIT, so it has to fail by
-- itself.
WITH asked AS (
    SELECT *
    FROM json_to_recordset(:rows::json)
        AS given (ended_before bigint, statuses text, loaded text, counted bigint)
),
gone AS (
    DELETE FROM entries
    WHERE ended_at < (SELECT ended_before FROM asked)
        AND status IN (SELECT json_array_elements_text(statuses::json) FROM asked)
        AND entry_id NOT IN (SELECT json_array_elements_text(loaded::json) FROM asked)
    RETURNING entry_id
)
SELECT 1 / CASE WHEN COUNT(*) = (SELECT counted FROM asked) THEN 1 ELSE 0 END FROM gone
