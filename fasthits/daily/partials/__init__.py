"""Partials: the files in which each of several servers keeps its days, and their merge on one machine."""
