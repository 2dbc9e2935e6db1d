"""Counting with many machines: the workers of ``--cluster``, their tasks, and the files between them."""
