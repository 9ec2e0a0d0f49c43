SELECT document.collection, document.key, version, created_at, updated_at, expires_at
FROM {pairs:pairs}
JOIN documents AS document
    ON {once:document.collection = asked.id} AND {once:document.key = asked.text}
ORDER BY {sorted:document.collection, document.key}
{lock:FOR UPDATE OF document}
