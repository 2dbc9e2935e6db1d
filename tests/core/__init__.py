"""Tests of the compiled core: bytes in, counts out; against the oracle, and at the edges of memory."""
