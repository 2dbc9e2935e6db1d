"""``fasthits log --follow``: log files that another program writes, counted exactly once over rotations and kills."""
