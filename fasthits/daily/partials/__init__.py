"""Partials: the files in which each of several servers keeps its days, and their merge on one machine."""

import os


def is_partial(name: str | os.PathLike[str]) -> bool:
    """Tell whether a file with this name is a partial: ``*.hits``."""
    return os.fspath(name).lower().endswith(".hits")
