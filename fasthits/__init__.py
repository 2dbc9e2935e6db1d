"""How often was each page read: live from Apache's log into memcached, by day into SQLite or CSV."""

__version__ = "0.1.0"
