"""Log files to rows: counted by threads, in bounded memory."""
