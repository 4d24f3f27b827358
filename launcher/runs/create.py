"""A run's folder: created complete or not at all."""

import os
import re
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.plan import Plan
from launcher.runs.errors import RunError
from launcher.runs.folder import RunFolder
from locat.contract import durable
from locat.contract.checkpoint_folder import PINNED, link
from locat.contract.credentials import redact
from locat.contract.problems import shown
from locat.contract.submission import Step, Submission

if TYPE_CHECKING:
    from launcher.snapshot.take import Code
    from locat.contract.yaml_source import Source


@dataclass(frozen=True)
class Start:
    """The checkpoint of another run that a job goes on from."""

    job: str
    """Which job of the new run."""
    reference: str
    """RUN/JOB@STEP of the other."""
    checkpoint: Path | None
    """None where this machine does not see it."""


def check_name(name: str) -> None:
    """See that a run's folder can begin with this name.

    Raises:
        RunError: it cannot.
    """
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", name):
        raise RunError(f"{shown(name)}: letters, digits and '_.-' make a folder's name")


def new_run_id(name: str) -> str:
    """A run id nobody else has: `digits-20260131-142500-3f9a`."""
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def create(
    plan: Plan,
    pipeline_text: str,
    runs: Path,
    source: "Source | None" = None,
    settings: Sequence[str] = (),
    start: Start | None = None,
    code: "Code | None" = None,
) -> RunFolder:
    """Write a run's folder in `runs` under a temporary name, then rename it: it is complete or not there.

    Where jobs see the folder of runs by another path, `plan.folder` is theirs.

    Args:
        pipeline_text: becomes pipeline.yaml as it is, but for credentials.
        source: what the text was read as; None where only the plan is known.
        settings: each `KEY=VALUE` that was put over it.
        start: the checkpoint of another run that a job goes on from; it is kept in that job's folder.
        code: what its jobs run; None where that is not known here.
    """
    run = RunFolder(runs / plan.run_id)
    try:
        durable.make_folder(runs)
        temporary = runs / f".new-{secrets.token_hex(8)}"
        temporary.mkdir()
        try:
            _write(temporary, plan, pipeline_text)
            if start is not None and start.checkpoint is not None:
                link(start.checkpoint, RunFolder(temporary).job(start.job).path / PINNED / start.checkpoint.name)
            _submission(plan, source, settings, start).write(temporary)
            if code is not None:
                code.write(temporary)
            durable.sync_tree(temporary)
            os.rename(temporary, run.path)
        except BaseException:
            shutil.rmtree(temporary)
            raise
        durable.sync_folder(runs)
    except OSError as error:
        raise RunError(f"cannot create the run {run.path}: {error.strerror or error}") from error
    return run


def discard(run: RunFolder) -> None:
    """Take back a run of which nothing has begun; it is there or it is not."""
    nameless = run.path.with_name(f".new-{secrets.token_hex(8)}")
    run.path.rename(nameless)
    shutil.rmtree(nameless)


def _write(folder: Path, plan: Plan, pipeline_text: str) -> None:
    from locat.contract.yaml_text import to_yaml  # a third of the time that an attempt runner takes to start

    durable.write_text(folder / "pipeline.yaml", redact(pipeline_text))
    durable.write_text(folder / "plan.json", plan.to_json())
    (folder / "jobs").mkdir()
    for job in plan.jobs:
        (folder / "jobs" / job.name).mkdir()
        durable.write_text(folder / "jobs" / job.name / "config.yaml", to_yaml(job.config))


def _submission(plan: Plan, source: "Source | None", settings: Sequence[str], start: Start | None) -> Submission:
    """What was asked, from the plan as it was compiled: nothing is read a second time."""
    group_of = {job.name: job.group for job in plan.jobs}
    steps: dict[str, Step] = {}
    for job in plan.jobs:
        earlier = steps[job.group].needs if job.group in steps else ()
        needs = tuple(dict.fromkeys((*earlier, *(group_of[need] for need in job.needs))))
        steps[job.group] = Step(job.group, str(job.config.get("task", "")), needs, tuple(job.matrix))
    about = Submission(plan.pipeline, plan.description, tuple(steps.values()))
    if source is None:
        return about
    return replace(
        about,
        folder=str(source.folder or ""),
        elsewhere=tuple((path, str(folder)) for path, folder in source.elsewhere.items()),
        settings=tuple(map(redact, settings)),
        branch=start.reference if start else "",
    )
