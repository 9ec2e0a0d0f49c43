"""Plain JSON files behind a journal."""
