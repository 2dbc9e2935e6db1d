"""Kept days: read and shown."""
