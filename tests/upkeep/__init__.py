"""Tests of upkeep/: check and warm, doctor, explain, conf."""
