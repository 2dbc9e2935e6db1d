"""What counts, and under which path."""
