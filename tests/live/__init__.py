"""Tests of live/: the logger, the courier and their counters in memcached. All servers are real, on loopback."""
