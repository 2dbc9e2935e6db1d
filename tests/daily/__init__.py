"""Every day before today: logs found and read, rolled up into tables, reported."""
