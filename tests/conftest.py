"""Settings of every test."""

import os
import tempfile

from hypothesis import settings

# A loaded machine is not a fault; and CI must not fail by a draw nobody can repeat.
settings.register_profile("locat", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("locat")

# Tests do not wait for the cores that somebody's runs hold on this machine.
os.environ.setdefault("LOCAT_SLOTS_DIR", tempfile.mkdtemp(prefix="locat-slots-"))
