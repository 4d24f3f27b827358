"""Settings of every test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer

from support import skipped, training
from support.scheduling import Scheduling

# A loaded machine is not a fault; and CI must not fail by a draw nobody can repeat.
settings.register_profile("locat", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("locat")

# Nor is what a user has set for work of their own, but for what speaks to these tests.
OURS = ("LOCAT_CACHE", "LOCAT_CLUSTER", "LOCAT_TRIALS")
for name in [*os.environ]:
    if name.startswith(("LAUNCHER_", "LOCAT_", "MLFLOW_", "SBATCH_", "SLURM_")) and name not in OURS:
        del os.environ[name]

# Several workers and their jobs share the cores: a thread that waits by counting takes them from all others.
os.environ["OMP_WAIT_POLICY"] = "passive"


@pytest.fixture(scope="session", autouse=True)
def slots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Cores and GPUs: tests do not wait for those that runs of somebody else hold, nor another worker's tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAT_SLOTS_DIR", str(tmp_path_factory.mktemp("slots")))
        yield


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digit scenes, converted once: the `data` of small real jobs, which only read them."""
    return training.convert(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of `trained_models`, which tests only read."""
    from support import trained_models  # and torch, which few tests need

    root = tmp_path_factory.mktemp("models")
    trained_models.write(root)
    return root


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Of pytest-xdist."""
    scheduling = Scheduling(config, log)
    config.add_cleanup(scheduling.end)
    return scheduling


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was skipped, by the reason: that says what would enable it."""
    if found := terminalreporter.stats.get("skipped"):
        terminalreporter.section("skipped, and what would enable it")
        for line in skipped.lines(found):
            terminalreporter.write_line(line)
