"""The dataset `contact_sheets`: all images of a split on one sheet."""
