"""What counts, under which path, and what log lines look like. No module here reads a log or talks to a server."""
