"""What logs look like: formats by name and by string, JSON, escapes, packing."""
