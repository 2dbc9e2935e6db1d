"""What counts, and under which path. No module here reads a log or talks to a server."""
