"""Tests of rules/: what counts, and under which path."""
