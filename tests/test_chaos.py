"""A seeded few of `make chaos`: jobs killed at random end as if nothing had happened."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


@pytest.mark.slow
def test_jobs_killed_at_random_end_as_if_they_had_been_left_alone() -> None:
    """Nine kinds of jobs are killed or asked to stop; test_killed_anywhere.py kills whole runs."""
    command = [sys.executable, "-m", "chaos", "--trials", "9", "--seed", "10"]
    # The repository first: below tests/ there is a folder called locat as well.
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}"}
    ended = subprocess.run(command, cwd=TESTS.parent, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-2000:]
    assert "9 trials from seed 10 on, 0 ended otherwise" in ended.stdout
