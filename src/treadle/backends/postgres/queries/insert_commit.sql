-- Its row takes the place of the one before. It fails if it is there: the transaction was committed
-- by another connection, after this one was lost.
WITH gone AS (
    DELETE FROM commits WHERE writer = :writer AND number < :number
)
INSERT INTO commits (writer, number) VALUES (:writer, :number)
