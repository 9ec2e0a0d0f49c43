"""A store in a database: programs that yield statements and do no I/O themselves."""
