"""The page of `fasthits serve` in a real browser."""
