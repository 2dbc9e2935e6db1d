"""What is made from the project itself for its readers: the manual page, the page of commands, the pictures."""
