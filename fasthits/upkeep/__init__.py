"""Setting up and checking: snippets to paste (conf), doctor, explain, check and warm."""
