"""Today: the logger that counts lines into memcached, and what reads the counters there."""
