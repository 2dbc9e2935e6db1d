"""Set up, and see whether it is right: configuration to paste, doctor, explain, check and warm."""
