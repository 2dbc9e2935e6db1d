"""A small site that uses the app, for tests/django."""
