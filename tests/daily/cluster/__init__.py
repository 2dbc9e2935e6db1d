"""Counting by many workers: of an executor, and of a real Dask cluster."""
