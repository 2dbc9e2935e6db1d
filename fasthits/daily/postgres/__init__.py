"""Days in PostgreSQL: the database, the sums beside its tables, and a partition for each day."""
