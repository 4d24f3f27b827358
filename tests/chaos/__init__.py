"""Kills processes of real jobs at random and compares what they end with: `make chaos`."""
