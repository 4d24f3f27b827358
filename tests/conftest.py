"""Settings of every test."""

import os

from hypothesis import settings

# A loaded machine is not a fault; and CI must not fail by a draw nobody can repeat.
settings.register_profile("locat", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("locat")
