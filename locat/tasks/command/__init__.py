"""A program of the user's own as a job; docs/extend/command.md is its contract."""
