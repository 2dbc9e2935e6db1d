"""What all targets of a rollup do alike."""
