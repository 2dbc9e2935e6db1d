"""A small site, as a user of the app would have it: what tests/django tries."""
