"""The log files of a day: found, decompressed and read as blocks of lines; and whether they hold the whole day.

- places, matching, stores, sftp: where files are; sources: the files of PATTERNs
- dated, rotated, rotated_names: logs of cronolog and of logrotate; extents: the time that a file covers
- logfiles, compression, lines: reading
"""
