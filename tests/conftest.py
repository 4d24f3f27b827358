"""Settings of every test."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

# A loaded machine is not a fault; and CI must not fail by a draw nobody can repeat.
settings.register_profile("locat", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("locat")


@pytest.fixture(scope="session", autouse=True)
def slots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Cores and GPUs: tests do not wait for those that runs of somebody else hold, nor another worker's tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAT_SLOTS_DIR", str(tmp_path_factory.mktemp("slots")))
        yield


class Scheduling(LoadFileScheduling):
    """What `pytest -n` gives to one worker: a file, as its tests share fixtures; all that share the cluster."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "cluster" if file.startswith("tests/cluster/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Of pytest-xdist."""
    return Scheduling(config, log)
