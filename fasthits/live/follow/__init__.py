"""``fasthits log --follow``: log files that another program writes, counted exactly once over rotations and kills.

- files, inotify: new and rotated files; rotated_names: which file was which
- open_files: reading on, also in a renamed or truncated file; tail: one file that is read
- positions: how far each file was counted
- tally: the hits since the last delivery; deliveries, carrier: their way to each memcached
- follower: all of this, from start to end
"""
