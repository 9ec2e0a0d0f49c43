SELECT MIN(lease_until)
FROM mailboxes
WHERE lease_until IS NOT NULL
