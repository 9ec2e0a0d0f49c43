-- Divides by zero unless it takes what was counted: another was faster, and all is tried again.
WITH asked AS (
    SELECT *
    FROM json_to_recordset(:rows::json) AS given (older_than bigint, loaded text, counted bigint)
),
gone AS (
    DELETE FROM entries
    WHERE ended_at < (SELECT older_than FROM asked)
        AND entry_id <> ALL (ARRAY(SELECT json_array_elements_text(loaded::json) FROM asked))
    RETURNING entry_id
)
SELECT 1 / CASE WHEN COUNT(*) = (SELECT counted FROM asked) THEN 1 ELSE 0 END FROM gone
