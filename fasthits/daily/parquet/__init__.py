"""Days in a folder of Parquet files."""
