"""A job's model for others: its files, the card that tells of it, and the Hub that takes both."""
