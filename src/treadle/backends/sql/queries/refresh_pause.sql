-- The end of a pause that has begun, or NULL as it was ended. A claim that comes after it sets it to
-- NULL, too: `end_pauses`.
UPDATE mailboxes
SET pause_ends = CASE
    WHEN mailboxes.paused_at IS NULL THEN NULL
    ELSE COALESCE(mailboxes.paused_until, 9223372036854775807)
END
{for_given:mailboxes.mailbox_id}
