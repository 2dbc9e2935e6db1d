"""What logs look like: the formats of lines, by name or by their string in a server's configuration. No I/O."""
