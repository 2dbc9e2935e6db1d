"""The signals of the app."""

from django.dispatch import Signal

hits_saved = Signal()
"""Sent when ``parse_log`` has saved: ``days``, a list of dates, and ``using``, the database. The sender is `Hits`."""
