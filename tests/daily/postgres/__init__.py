"""PostgreSQL, a real one."""
