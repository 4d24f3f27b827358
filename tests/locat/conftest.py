"""This process as the only rank, for tests of what ranks do together."""

import importlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from locat.engine.distributed import Ranks


@pytest.fixture
def ranks() -> Iterator["Ranks"]:
    """The group of one, of which DeepSpeed forgets its own ones at the end: it makes them once per process."""
    from locat.engine.distributed import join_ranks

    with join_ranks() as ranks:
        yield ranks
    if "deepspeed" in sys.modules:
        sys.modules["deepspeed.comm.comm"].cdb = None
        importlib.reload(sys.modules["deepspeed.utils.groups"])
