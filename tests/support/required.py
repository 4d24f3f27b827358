"""What a user's machine may lack, and CI may not."""

import os

import pytest


def require(missing: str) -> None:
    """Skip the test, or fail it in CI, where something is missing: the reason, empty if nothing is."""
    if missing:
        pytest.fail(missing, pytrace=False) if "CI" in os.environ else pytest.skip(missing)
