"""What an administrator runs when in doubt: check and warm, doctor, explain, conf."""
