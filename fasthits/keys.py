"""The published place of `hit_key`, which makes the name of every counter."""

from fasthits.live.keys import hit_key

__all__ = ["hit_key"]
