"""`launcher ui` opens the runs of one person to that person."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from launcher.verbs.ui import KEY_VARIABLE
from support import small_runs, uids
from support.required import require

PATIENCE = 240.0
IMPORTS = "import encodings.idna, json, os, pathlib, sys, urllib.error, urllib.request"
ATTACK = f"""
codes, seen = [], []
for address in sys.argv[1:]:
    try:
        codes.append(urllib.request.urlopen(address, timeout={PATIENCE}).status)
    except urllib.error.HTTPError as error:
        codes.append(error.code)
for process in pathlib.Path("/proc").glob("[0-9]*"):
    for file in ("cmdline", "environ"):
        try:
            seen.append((process / file).read_bytes().decode(errors="replace"))
        except OSError:
            pass
print(json.dumps([codes, seen]))
"""
"""Prints how the server answers each address, and what can be read of all processes."""
SERVER = """
import signal, subprocess, sys
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"
subprocess.run([sys.executable, "-c", stubborn])
"""
"""A server with a process below it that does not end when it is asked."""
SERVE = (
    "import os, signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # which a shell may have it ignore
    f"from launcher.verbs import ui; print(ui._serve([{sys.executable!r}, '-c', {SERVER!r}], os.environ))"
)


@pytest.mark.slow
def test_another_user_of_the_machine_cannot_open_it(tmp_path: Path) -> None:
    require(uids.second())
    run = small_runs.make(tmp_path, small_runs.job("a"))
    (run.path / "plan.json").write_text(replace(run.plan(), tracking_uri=f"sqlite:///{tmp_path}/mlflow.db").to_json())
    with opened(run.path.parent) as (address, key):
        assert "experiments" in until_answered(address, key)
        attacked = uids.run_as_nobody(ATTACK, address, f"{address}?key=guessed", imports=IMPORTS)
        assert attacked.returncode == 0, attacked.stderr
        codes, seen = json.loads(attacked.stdout)
        assert codes == [401, 401]
        assert seen and not [text for text in seen if key in text]
        assert having(key)
    assert not having(key), "MLflow's server has outlived the verb"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_nothing_of_the_server_outlives_the_verb(number: signal.Signals, tmp_path: Path) -> None:
    environment = {**os.environ, KEY_VARIABLE: str(tmp_path)}
    command = [sys.executable, "-c", SERVE]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.send_signal(number)
        assert process.communicate(timeout=PATIENCE)[0] == "None\n"
    assert not having(str(tmp_path))


def test_nothing_of_the_server_outlives_a_verb_that_is_killed(tmp_path: Path) -> None:
    environment = {**os.environ, KEY_VARIABLE: str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", SERVE], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        process.kill()
    deadline = time.monotonic() + PATIENCE
    while having(str(tmp_path)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow  # imports MLflow
def test_a_store_that_cannot_be_made_is_told_in_one_sentence(tmp_path: Path) -> None:
    run = small_runs.make(tmp_path, small_runs.job("a"))
    (tmp_path / "file").touch()
    store = tmp_path / "file" / "mlflow.db"
    (run.path / "plan.json").write_text(replace(run.plan(), tracking_uri=f"sqlite:///{store}").to_json())
    command = [sys.executable, "-m", "launcher", "ui", "--runs-dir", str(run.path.parent)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"{store}: this MLflow store is not there and cannot be made (")
    assert refused.stderr.count("\n") == 1


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


def having(key: str) -> list[str]:
    """What runs with this key in its environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(KEY_VARIABLE) == key and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
    return found


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
