"""How fast fasthits is: a seeded log, a pytest-benchmark suite, and `python -m benchmarks` for a table of it."""
