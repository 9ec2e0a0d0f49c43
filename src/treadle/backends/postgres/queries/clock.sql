-- The present in unix milliseconds; not the start of the transaction, which may have waited for locks.
SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint
