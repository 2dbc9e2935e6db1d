"""The log files of a day: found, decompressed and read as blocks of lines; and whether they hold the whole day.

- places, matching, stores: where files are; sources: the files of PATTERNs
- store_connections, s3, sftp: what connects to a store
- dated, rotated, rotated_names: logs of cronolog and of logrotate; extents: the time that a file covers
- logfiles, compression, lines: reading
"""
