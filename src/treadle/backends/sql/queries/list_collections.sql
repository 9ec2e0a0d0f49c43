-- A step from one collection to the next is one look at the index, however many documents it has.
-- The steps end when enough collections are found that have a document, or (hence UNION) when a
-- damaged index gives one again. Whether a collection has a document is asked by its first row in the
-- order of an index: with EXISTS, PostgreSQL may read the documents of all other collections.
WITH RECURSIVE names (name, found) AS (
    SELECT MIN(collection), 0
    FROM documents
    WHERE collection >= :first AND collection < :behind
    UNION
    SELECT
        (SELECT MIN(collection) FROM documents
         WHERE collection > names.name AND collection < :behind),
        names.found + CASE
            WHEN (
                SELECT 1 FROM documents WHERE collection = names.name AND {live:now}
                ORDER BY key
                LIMIT 1
            ) = 1
            THEN 1 ELSE 0 END
    FROM names
    WHERE names.name IS NOT NULL AND names.found < :limit
)
SELECT name
FROM names
WHERE name IS NOT NULL
    AND (
        SELECT 1 FROM documents WHERE collection = names.name AND {live:now}
        ORDER BY key
        LIMIT 1
    ) = 1
ORDER BY name
LIMIT :limit
