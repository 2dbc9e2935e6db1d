"""Tests of daily/: logs are found and read, rolled up into tables, and reported."""
