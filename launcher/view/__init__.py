"""What a user sees on a terminal: all that knows rich."""
