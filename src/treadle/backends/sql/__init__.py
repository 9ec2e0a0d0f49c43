"""What a store does in a database: programs that yield statements and never do I/O themselves."""
