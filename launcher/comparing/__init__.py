"""Runs side by side, from their folders alone: what differs between jobs, and the numbers that these recorded."""
