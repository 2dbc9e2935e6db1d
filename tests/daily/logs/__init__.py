"""Log files found and read, and whether they hold the whole day."""
