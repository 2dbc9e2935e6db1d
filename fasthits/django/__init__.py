"""A Django app: shows on each page how often it was read today, live, and keeps the history of each object.

docs/architecture.md tells what each module is for.
"""
