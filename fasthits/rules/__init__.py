"""What counts, under which path, and what log lines look like. Nothing here reads a file or talks to a server."""
