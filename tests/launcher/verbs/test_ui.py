"""`launcher ui` opens the runs of one person to that person."""

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from support import small_runs
from support.required import require

NOBODY = 65534
PATIENCE = 240.0


@pytest.mark.slow
def test_another_user_of_the_machine_cannot_open_it(tmp_path: Path) -> None:
    require("only root can become another user: run as root" if os.geteuid() else "")
    run = small_runs.make(tmp_path, small_runs.job("a"))
    (run.path / "plan.json").write_text(replace(run.plan(), tracking_uri=f"sqlite:///{tmp_path}/mlflow.db").to_json())
    with opened(run.path.parent) as (address, key):
        assert "experiments" in until_answered(address, key)
        with get_context("fork").Pool(1, initializer=os.setuid, initargs=(NOBODY,)) as another:
            assert another.apply(answer, (address, None)) == 401
            assert another.apply(answer, (f"{address}?key=guessed", None)) == 401
            assert another.apply(finds_key, (key,)) == []
        assert answer(address, key) == 200


@contextmanager
def opened(runs: Path) -> Iterator[tuple[str, str]]:
    """The address of a `launcher ui`, and its key."""
    command = [sys.executable, "-m", "launcher", "ui", "--runs-dir", str(runs)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        printed = re.fullmatch(r"(http://127\.0\.0\.1:\d+/)\?key=(\S+)\n", process.stdout.readline())
        assert printed is not None
        yield printed[1], printed[2]
    finally:
        process.terminate()
        process.wait()


def until_answered(address: str, key: str) -> str:
    """What the server says of its experiments, once it is there."""
    url = f"{address}api/2.0/mlflow/experiments/search?max_results=1"
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
            with urllib.request.urlopen(request, timeout=PATIENCE) as page:
                return str(page.read())
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def answer(address: str, key: str | None) -> int:
    """The status code for who has this key."""
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as page:
            return int(page.status)
    except urllib.error.HTTPError as error:
        return error.code


def finds_key(key: str) -> list[str]:
    """Where a user can read the key: command lines and environments of all processes."""
    found = []
    for file in (*Path("/proc").glob("[0-9]*/cmdline"), *Path("/proc").glob("[0-9]*/environ")):
        try:
            if key.encode() in file.read_bytes():
                found.append(str(file))
        except OSError:
            continue
    return found
