"""Runs with what jobs leave, for tests of what may be deleted: nothing of it was trained."""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from launcher.plan import PlannedJob
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Status
from launcher.snapshot import store
from locat.config.training import Checkpoints
from locat.contract.checkpoint_folder import at_step, complete, step_of
from support import small_runs

FILES = ("task.pt", "strategy/0.distcp")
DAYS = 86400.0
JUDGED = Checkpoints(best="top1")


def job(name: str, needs: tuple[str, ...] = (), after: str | None = None, **config: Any) -> PlannedJob:
    """A job that trains, and keeps its best."""
    checkpoints = {"keep": 2, "best": "top1", "best_is": "largest", **({"after": after} if after else {})}
    settings = {"task": "test", "checkpoints": checkpoints, **config}
    return replace(small_runs.job(name, needs=needs), config=settings)


def make(runs: Path, name: str, *jobs: PlannedJob, done: tuple[str, ...] = ()) -> RunFolder:
    """A run of which some jobs are done."""
    run = small_runs.make(runs, *jobs, name=name)
    for each in done:
        end(run, each)
    return run


def end(run: RunFolder, name: str, status: Status = Status.DONE, ago: float = 0.0) -> None:
    JobState(status, 1, ended=time.time() - ago, failures=int(status is Status.FAILED)).write(run.job(name).state)


def save(folder: Path, metrics: Mapping[int, float]) -> None:
    """Checkpoints of these steps, with what an evaluation found."""
    for step, top1 in metrics.items():
        checkpoint = at_step(folder, step)
        (checkpoint / "strategy").mkdir(parents=True)
        for file in FILES:
            (checkpoint / file).write_text(f"{file} of {step}\n")
        values = {"format": 1, "position": {}, "metrics": {"top1": top1}, "world_size": 1, "config": {}}
        (checkpoint / "manifest.json").write_text(json.dumps({**values, "files": dict.fromkeys(FILES, "")}))


def steps(run: RunFolder, name: str) -> list[int]:
    """Of the checkpoints that are there; each is whole."""
    there = complete(run.job(name).checkpoints)
    assert there == sorted(run.job(name).checkpoints.glob("step-*"))
    assert all((checkpoint / file).exists() for checkpoint in there for file in FILES)
    return [step_of(checkpoint) for checkpoint in there]


def copy_of_code(runs: Path, digest: str, days: float = 2) -> Path:
    """A copy that was last taken so many days ago, as read-only as can be."""
    copy = runs / ".code" / digest
    (copy / "locat").mkdir(parents=True)
    (runs / ".code").chmod(0o700)
    (copy / "locat/a.py").write_text("a = 1\n")
    for path in (copy / "locat/a.py", copy / "locat", copy):
        path.chmod(0o444 if path.is_file() else 0o555)
    age(copy, days)
    return copy


def take_code(runs: Path, name: str = "a.py") -> Path:
    """The copy of a file that is called so, as `submit` takes it."""
    file = runs / name
    file.write_text(name)
    copy = store.keep(runs, {name: file}, {}).folder
    file.unlink()
    return copy


def age(path: Path, days: float) -> None:
    os.utime(path, (time.time() - days * DAYS,) * 2)
