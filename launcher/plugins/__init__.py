"""`plugins:` of a pipeline: code of the user's own that is taken as though it were installed, for one run."""
