"""Days in a SQLite file: the file, its tables as a target, and the sums beside them."""
