"""Counting in one call, by threads, in bounded memory."""
