"""Days in a SQLite file: the file, the sums beside its tables."""
