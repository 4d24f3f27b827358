"""Datasets as FFCV files: made, written, read from any position, augmented."""
