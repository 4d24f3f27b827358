"""Text -> Pipeline, with places. Knows no run."""
