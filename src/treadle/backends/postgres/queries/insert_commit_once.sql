-- Record the transaction unless it is recorded already; returns a row if it was not. It waits for a
-- transaction that is about to commit the same record.
INSERT INTO commits (writer, number) VALUES (:writer, :number)
ON CONFLICT (writer) DO UPDATE
SET number = excluded.number, committed_at = excluded.committed_at
WHERE commits.number < excluded.number
RETURNING number
