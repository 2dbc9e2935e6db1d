"""Log files to rows.

- count_days: for a rollup; count_hits: for Python programs
- threads: several at once; max_memory, overflow, runs: rows that memory has no room for
"""
