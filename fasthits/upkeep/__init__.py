"""Setting up and checking: snippets to paste (conf, units), doctor, explain, check and warm."""
