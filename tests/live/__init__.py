"""Today: the logger at Apache's pipe, its memcached, and what it leaves there. With the real servers, on loopback."""
