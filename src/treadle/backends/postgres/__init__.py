"""PostgreSQL: many machines on one database."""
