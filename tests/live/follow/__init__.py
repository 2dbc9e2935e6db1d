"""`fasthits log --follow`: log files that another program writes."""
