"""Every day before: log files reduced to views per day and path, in a database or CSV, and the code that reads them.

- days: DATE and PATTERN; rollup: from the logs of some days to a target
- layouts: the tables and their columns, which all targets have
- atomic, urls, removed_paths: what several targets use
"""
