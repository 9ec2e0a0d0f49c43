SELECT {columns:documents}
FROM documents
