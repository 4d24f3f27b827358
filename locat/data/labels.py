"""What the numbers in a mask mean, besides the classes."""

IGNORED = 255
"""In a mask: pixels that belong to no class."""
