SELECT {entry_columns}
FROM {pairs:pairs}
JOIN payloads {index:payloads_by_dedupe_key}
    ON payloads.mailbox_id = asked.id AND {equal:payloads.dedupe_key = asked.text}
JOIN entries USING (entry_id, mailbox_id, created_at)
