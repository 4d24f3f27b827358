"""Jobs of one rank, killed or asked to stop, in forks of a process that has imported everything.

A job takes many seconds to import what it needs and a few to train: forked, each trial costs only the latter.
"""

import importlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch

from chaos.ends import differences, end_of
from locat.__main__ import log_to, run
from locat.config import TASKS
from locat.contract.job_folder import ExitCode, JobFolder
from support import training

PRELOADED = ("supervised", "dino", "segment")
OPERATIONS = ("open", "os.rename", "os.mkdir", "os.link", "os.truncate")
"""Audited with the path they are about."""
DELETIONS = ("os.remove", "os.rmdir")
"""Audited with a name only."""
PATIENCE = 300.0
"""Seconds that a job may take."""


@dataclass(frozen=True)
class Reference:
    """A job that was left alone."""

    config: dict[str, Any]
    end: dict[str, Any]
    operations: int
    seconds: float


def preload() -> None:
    """Import what jobs need. No thread may run in this process: it is to be forked."""
    for name in PRELOADED:
        importlib.import_module(TASKS[name].entry.partition(":")[0])
    importlib.import_module("locat.engine.strategies.zero")


def start(folder: Path, kill_at: int | None = None, count: Path | None = None) -> int:
    """Run the job in `folder` in a fork, whose process id is returned.

    It kills itself before its `kill_at`-th operation on files below `folder`; `count` gets how many there were.
    """
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    torch.set_num_threads(1)  # makes torch's pool anew, which otherwise the first two threads do at once
    log_to(folder / "log")
    done = 0

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal done
        if event in DELETIONS or (event in OPERATIONS and str(arguments[0]).startswith(str(folder))):
            done += 1
            if done == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)
    code = 1
    try:
        code, _ = run(folder / "config.yaml")
        if count is not None:
            count.write_text(str(done))
    finally:
        os._exit(code)


def wait(pid: int) -> int:
    """Exit code of a fork, negative for a signal; one that hangs is killed with all it has started."""
    deadline = time.monotonic() + PATIENCE
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGABRT)
            deadline += PATIENCE
        time.sleep(0.01)


def left_alone(folder: Path, config: dict[str, Any]) -> Reference:
    """Run a job to its end."""
    training.write_config(folder, config)
    count, began = folder / "operations", time.monotonic()
    assert wait(start(folder, count=count)) == 0, (folder / "log").read_text()
    return Reference(config, end_of(JobFolder(folder)), int(count.read_text()), time.monotonic() - began)


def trial(folder: Path, reference: Reference, seed: int) -> tuple[str, list[str]]:
    """Kill or stop a job once to three times, then let it end: what was done, and what is not as it should be."""
    random = Random(seed)
    training.write_config(folder, reference.config)
    story = []
    for _ in range(random.randint(1, 3)):
        done, code, expected = disturb(folder, reference, random)
        story.append(done if code else f"{done} (had ended)")
        if code not in (0, *expected):
            return ", ".join(story), [f"exit code {code}: {(folder / 'log').read_text()[-2000:]}"]
    code = wait(start(folder))
    if code:
        return ", ".join(story), [f"exit code {code}: {(folder / 'log').read_text()[-2000:]}"]
    try:
        return ", ".join(story), differences(reference.end, end_of(JobFolder(folder)))
    except AssertionError as error:
        return ", ".join(story), [str(error)]


def disturb(folder: Path, reference: Reference, random: Random) -> tuple[str, int, tuple[int, ...]]:
    """Run the job and disturb it once: how, its exit code, and which ones are right where it did not end before."""
    if random.random() < 0.6:
        at = random.randint(1, reference.operations)
        return f"killed at operation {at}", wait(start(folder, kill_at=at)), (-signal.SIGKILL,)
    seconds = random.uniform(0, reference.seconds)
    pid = start(folder)
    time.sleep(seconds)
    if random.random() < 0.5:
        os.kill(pid, signal.SIGKILL)
        return f"killed after {seconds:.2f} s", wait(pid), (-signal.SIGKILL,)
    os.kill(pid, signal.SIGTERM)
    return f"asked to stop after {seconds:.2f} s", wait(pid), (ExitCode.PREEMPTED, -signal.SIGTERM)
