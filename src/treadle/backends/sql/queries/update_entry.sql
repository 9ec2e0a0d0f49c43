UPDATE entries
SET generation = :generation,
    status = :status,
    available_at = :available_at,
    attempt_count = :attempt_count,
    last_error = :last_error,
    claim_token = :claim_token,
    claimed_by = :claimed_by,
    lease_until = :lease_until,
    updated_at = :updated_at
WHERE entry_id = :entry_id
