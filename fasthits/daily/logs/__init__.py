"""The log files of a day: found, decompressed and read as blocks of lines; and whether they hold the whole day."""
