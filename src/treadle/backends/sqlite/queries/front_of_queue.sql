-- The highest priority of a head that is not blocked, and whether a pause or a lease has ended. Most
-- claims need not ask more than that, and then for the heads of one priority.
SELECT
    (SELECT MAX(priority) FROM queue_heads WHERE blocked = 0),
    EXISTS (SELECT 1 FROM mailboxes WHERE pause_ends <= :now),
    EXISTS (SELECT 1 FROM mailboxes WHERE lease_until <= :now AND pause_ends IS NULL)
