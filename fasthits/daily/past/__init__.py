"""Reading the days that rollups have kept, and showing them."""
