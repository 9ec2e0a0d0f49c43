"""SQLite: one database file, in this process, shared by any number of processes."""
