"""Partials of several servers, merged."""
