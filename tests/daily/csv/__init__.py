"""CSV files, however they were written."""
