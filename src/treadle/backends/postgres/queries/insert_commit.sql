-- Record the transaction by its writer and number, instead of the writer's last one. It fails if it
-- is recorded already: another connection has committed the same, after this one was lost.
WITH last AS (
    DELETE FROM commits WHERE writer = :writer AND number < :number
)
INSERT INTO commits (writer, number) VALUES (:writer, :number)
