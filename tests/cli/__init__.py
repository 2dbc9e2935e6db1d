"""Tests of cli/: the command line and the terminal."""
