"""What tests of several rooms use: real servers and proxies, processes, log lines, the oracle."""
