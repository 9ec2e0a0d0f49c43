-- Record the transaction unless it is recorded already; returns a row if it was not. It waits for a
-- transaction that is about to commit the same record.
INSERT INTO commits (writer, number) VALUES (:writer, :number)
ON CONFLICT DO NOTHING
RETURNING number
