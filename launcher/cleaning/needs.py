"""What jobs that are not done have yet to read of other jobs' checkpoints, and which copies of code runs name.

Told from the plans of all runs in a folder: by what they say, whoever wrote it there and for what. A run is known by
its name and not by its path, which is another one in a container.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from launcher.backends import BACKENDS
from launcher.plan import Plan, PlannedJob
from launcher.runs.errors import RunDeletedError
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from locat.config.weights import job_weights
from locat.contract.checkpoint_folder import Judged, at_step, best_in, complete
from locat.contract.records import FormatError
from locat.contract.source import NAME, Source

NEWEST, BEST, EVERY = "", "best", "*"
"""Which checkpoints of a job somebody reads; a number is the one of that step."""
_MENTION = re.compile(r"([\w.-]+)/jobs/([\w.-]+)(?:/checkpoints/step-(\d+)(?!\d)|/(outputs)(?![\w.-]))?", re.ASCII)
"""A path into a job's folder. What lies below outputs/ stays."""


@dataclass
class Needs:
    """What the runs that were read until now need."""

    checkpoints: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    """Run and job -> which of its checkpoints -> the job that needs it, as RUN/JOB."""
    code: set[str] = field(default_factory=set)
    """Names of copies."""
    unknown: list[str] = field(default_factory=list)
    """Why it is not known what a run needs; then nothing that it may need can go."""
    runs: set[str] = field(default_factory=set)
    """Names of the runs that were read."""

    def read(self, runs: Iterable[RunFolder]) -> None:
        """Add what those of the runs need that were not read before: plans never change."""
        for run in runs:
            if run.name in self.runs:
                continue
            self.runs.add(run.name)
            try:
                self._add_code(run)
                self._add_checkpoints(run, run.plan())
            except RunDeletedError:
                continue
            except (FormatError, OSError) as error:
                self.unknown.append(f"what {run.name} needs is not known: {error}")

    def in_job(self, run: str, job: str, folder: Path, judged: Judged) -> dict[Path, str]:
        """Checkpoints in the folder of a job that somebody needs -> who."""
        found: dict[Path, str] = {}
        there = complete(folder)
        for at, who in self.checkpoints.get((run, job), {}).items():
            if at == EVERY:
                needed = there
            elif at == NEWEST:
                needed = there[-1:]
            elif at == BEST:
                needed = [best] if (best := best_in(folder, judged)) else []
            else:
                needed = [at_step(folder, int(at))]
            found.update(dict.fromkeys(needed, who))
        return found

    def _add_code(self, run: RunFolder) -> None:
        if (folder := run.code_folder()) is not None:
            self.code.add(folder.name)
        source = Source.read(run.path)
        if source is None and (run.path / NAME).exists():
            raise FormatError(f"{run.path / NAME}: cannot be read; restore it, or remove its run")
        if source is not None:  # a job may still run what the run's jobs ran before
            self.code.update(Path(each.folder).name for each in (source, *source.earlier))

    def _add_checkpoints(self, run: RunFolder, plan: Plan) -> None:
        ended = {} if BACKENDS.trouble(plan.backend) else BACKENDS[plan.backend].ended(run) or {}
        for job in plan.jobs:
            state = ended.get(job.name) or run.state(job.name)
            if state.status is not Status.DONE:
                for other, name, at in _read_by(job):
                    self.checkpoints.setdefault((other, name), {})[at] = f"{run.name}/{job.name}"


def _read_by(job: PlannedJob) -> Iterator[tuple[str, str, str]]:
    """Run, job and which of its checkpoints, of each that a job reads or names."""
    yield from _in_value([job.config, list(job.command), job.environment])


def _in_value(value: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, Mapping):
        chosen = value.get("weights") is not None
        for key, child in value.items():
            if key == "branch" and isinstance(child, Mapping):
                at = str(child.get("at") or NEWEST)
                at = at if at in (NEWEST, BEST) or at.isdecimal() else EVERY
                yield from ((run, job, at) for run, job, _ in _in_text(str(child.get("job")), False))
            elif key == "source" and isinstance(child, str):
                yield from _in_text(child, chosen)
            else:
                yield from _in_value(child)
    elif isinstance(value, list):
        for child in value:
            yield from _in_value(child)
    elif isinstance(value, str):
        yield from _in_text(value, False)


def _in_text(text: str, chosen: bool) -> Iterator[tuple[str, str, str]]:
    """Those that a text names; with `chosen` it says which weights of the source, and a job's model is one alone."""
    if (weights := job_weights(text)) is not None:
        if weights.at or chosen:
            yield Path(weights.run).name, weights.job, str(int(weights.at)) if weights.at.isdecimal() else weights.at
        return
    for run, job, step, outputs in _MENTION.findall(text):
        if not outputs:
            yield run, job, str(int(step)) if step else EVERY
        elif chosen:
            yield run, job, NEWEST
