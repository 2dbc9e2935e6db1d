"""What `fasthits rollup` counts, keeps and says, from the command line."""
