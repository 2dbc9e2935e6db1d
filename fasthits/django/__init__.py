"""A Django app: on each page how often it was read today, live, and a history tied to the object itself."""
