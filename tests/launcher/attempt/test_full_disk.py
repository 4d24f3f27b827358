"""A disk that gets full, for real: a run whose folder is on a small file system of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.runs.state import Status
from support import small_runs
from support.required import isolation, require

pytestmark = pytest.mark.slow
FILL = """
import os
with open('fill', 'wb', buffering=0) as file:
    try:
        while file.write(bytes(512)): pass
    except OSError: pass
"""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of a MiB."""
    require(isolation())
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def test_how_a_job_ended_is_written_once_there_is_room_and_the_run_goes_on(small: Path) -> None:
    run = small_runs.make(small, small_runs.job("a", FILL), small_runs.job("b", needs=("a",)))
    with small_runs.supervisor(run) as supervisor:
        small_runs.until(lambda: (run.path / "fill").exists() and not os.statvfs(small).f_bavail)
        time.sleep(2)
        assert run.state("a").status is Status.RUNNING
        (run.path / "fill").unlink()
        assert supervisor.wait(small_runs.TIMEOUT) == 0
    assert small_runs.statuses(run) == {"a": Status.DONE, "b": Status.DONE}
    assert run.state("a").attempt == 1


def test_who_waits_for_the_exit_code_gets_it_in_the_end(small: Path) -> None:
    run = small_runs.make(small, small_runs.job("a", FILL + "exit(3)"))
    impatient = "from launcher.attempt import __main__, ending; ending.RECORD_PATIENCE = 1.0; exit(__main__.main())"
    done = subprocess.run(
        [sys.executable, "-c", impatient, str(run.path), "a"], timeout=small_runs.TIMEOUT, check=False
    )
    assert done.returncode == 3
    assert run.state("a").status is Status.RUNNING
