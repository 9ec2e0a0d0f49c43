-- The time of a claim, for the statements that follow in its transaction.
SELECT set_config(
    'treadle.now',
    COALESCE(:now::bigint, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)::text,
    true
)::bigint
