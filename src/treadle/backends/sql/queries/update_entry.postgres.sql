-- Divides by zero unless all are there: a purge was faster, and all is tried again.
WITH changed AS (
    UPDATE entries
    SET generation = given.generation,
        status = given.status,
        available_at = given.available_at,
        attempt_count = given.attempt_count,
        last_error = given.last_error,
        claim_token = given.claim_token,
        claimed_by = given.claimed_by,
        lease_until = given.lease_until,
        updated_at = given.updated_at,
        ended_at = CASE
            WHEN given.status IN ('queued', 'claimed') THEN NULL
            ELSE given.updated_at
        END
    FROM json_to_recordset(:rows::json) AS given (
        entry_id text, generation bigint, status text, available_at bigint,
        attempt_count bigint, last_error text, claim_token text, claimed_by text,
        lease_until bigint, updated_at bigint
    )
    WHERE entries.entry_id = given.entry_id
    RETURNING entries.entry_id
)
SELECT 1 / CASE WHEN COUNT(*) = json_array_length(:rows::json) THEN 1 ELSE 0 END FROM changed
