-- FOR UPDATE, although NO KEY UPDATE would do: a claim that meets this lock can see that it is not
-- the lock of another claim.
SELECT {columns:mailboxes}
FROM mailboxes
WHERE mailbox_id {in:
    {list:ids}
    UNION ALL
    SELECT entries.mailbox_id FROM entries WHERE entries.entry_id {in:entries}
}
ORDER BY mailbox_id
{lock:FOR UPDATE}
