"""Counting with many machines: the workers of ``--cluster``, their tasks, and the files between them.

- engines: Dask and other executors; fleet: the tasks of a count, and what comes back from them
- tasks: what a worker does; scratch: the folder for the rows
"""
