"""The SQLite file and the sums in it."""
