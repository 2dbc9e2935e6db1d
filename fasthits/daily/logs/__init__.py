"""The log files that hold a day: found, judged whether the day is whole, decompressed, read as blocks of lines."""
