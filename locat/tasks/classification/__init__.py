"""Tasks on images with one label each."""
