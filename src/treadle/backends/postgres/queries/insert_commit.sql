-- Record the transaction as the last one of its writer. It divides by zero if that is recorded already:
-- another connection has committed the same, after this one was lost.
WITH recorded AS (
    INSERT INTO commits (writer, number) VALUES (:writer, :number)
    ON CONFLICT (writer) DO UPDATE
    SET number = excluded.number, committed_at = excluded.committed_at
    WHERE commits.number < excluded.number
    RETURNING number
)
SELECT 1 / COUNT(*) FROM recorded
