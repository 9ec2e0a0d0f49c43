-- No row if it is there. It waits for who is about to commit the same.
INSERT INTO commits (writer, number) VALUES (:writer, :number)
ON CONFLICT DO NOTHING
RETURNING number
