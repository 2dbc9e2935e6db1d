"""Tests of doctor: each check, when all is well and when it is not."""
