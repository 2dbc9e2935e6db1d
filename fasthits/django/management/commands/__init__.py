"""The app's commands, a module each."""
