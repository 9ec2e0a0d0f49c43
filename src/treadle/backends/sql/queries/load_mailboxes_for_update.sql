-- FOR UPDATE, although FOR NO KEY UPDATE would suffice: a claim that meets this lock can tell it
-- from the lock of another claim (postgres/queries/read_skipped.sql).
SELECT {columns:mailboxes}
FROM mailboxes
WHERE mailbox_id {in:
    {list:ids}
    UNION ALL
    SELECT entries.mailbox_id FROM entries WHERE entries.entry_id {in:entries}
}
ORDER BY mailbox_id
{lock:FOR UPDATE}
