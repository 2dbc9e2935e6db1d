"""A small site, as a user of the app would have it, and its tests."""
