"""Weights that a model begins with: read from wherever they are, fitted to the model, and written down."""
