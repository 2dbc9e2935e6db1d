"""What is made from the project itself for its readers: the manual page and README's reference."""
