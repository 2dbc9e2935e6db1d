"""Today: the logger that counts lines into memcached, and the code that reads the counters there."""
