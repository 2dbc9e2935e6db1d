"""Tests against real servers, all on loopback and in temporary directories: memcached, apache2, cronolog, Django."""
