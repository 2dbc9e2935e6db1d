"""Tests of web/: the JSON interface of `fasthits serve`, and its page in a browser."""
