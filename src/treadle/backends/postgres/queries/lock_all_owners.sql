-- Lock the owners of all threads, for a transaction that is about very many: see lock_owners.sql.
SELECT pg_advisory_xact_lock('threads'::regclass::oid::bigint)
