"""Days in CSV files."""
