"""Checkpoints: written beside training, complete or not there, verified before they are read."""
