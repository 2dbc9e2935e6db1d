"""`fasthits serve`: its JSON interface, its page in a browser."""
