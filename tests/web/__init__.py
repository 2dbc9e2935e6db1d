"""Tests of web/: what `fasthits serve` answers over HTTP, and who gets an answer."""
