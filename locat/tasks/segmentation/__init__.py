"""Tasks on images with a mask each."""
