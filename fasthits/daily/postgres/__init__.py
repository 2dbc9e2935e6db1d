"""Days in PostgreSQL: the database, its tables as a target with a partition for each day, and the sums beside them."""
