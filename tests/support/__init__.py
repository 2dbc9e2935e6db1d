"""Shared by the tests of several rooms: real servers and proxies, processes, log lines, the oracle."""
