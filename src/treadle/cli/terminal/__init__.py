"""How commands speak: help, tables, text and JSON, progress, failures; and the lines they read."""
