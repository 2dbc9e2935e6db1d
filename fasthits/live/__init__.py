"""Today: the logger that counts lines into memcached, and the code that reads the counters there.

- supervisor, reader, backlog, courier: the logger, from its pipe to memcached; misfits, causes: what it warns of
- follow/: the same from log files
- keys: the names of counters; statistics: the figures that loggers publish
- servers, connections, memcached, replies: the addresses, TLS, commands and answers of memcached
- counters: for your own code; quick, pauses: for pages; asking, sampler, listing: for `top` and the web page
- privileges, processes: --user, and the loggers that run
"""
