DELETE FROM commits
WHERE writer = :writer
