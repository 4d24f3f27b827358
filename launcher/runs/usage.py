"""What the jobs of a run have taken, from its folder alone: no scheduler is asked, and MLflow neither.

Every second from a job's submission to its end is in one of `PHASES`. What an attempt took is told by a clock that
nobody sets, the time between attempts by the clock on the wall: where that was set back, nothing was waited for.
"""

import os
import pwd
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import fsum
from pathlib import Path

from launcher.plan import Plan, PlannedJob
from launcher.runs.attempts import AttemptRecord, asked_for
from launcher.runs.folder import RunFolder
from launcher.runs.state import JobState, Observation, Status
from launcher.runs.status import READY, JobView, derive
from locat.contract.clock import between
from locat.contract.job_folder import JobFolder
from locat.contract.usage import COMPUTING, IDLE, WORK, UsageRecord

HELD = "held"
"""Nothing could run it: what it needs was not done, or it had ended badly and nobody had asked for it again."""
QUEUED = "queued"
"""It could run: it waited for its scheduler, for room, or for the pause between two attempts."""
OCCUPIED = (*WORK, IDLE)
"""While its cores and GPUs were its own."""
PHASES = (HELD, QUEUED, *OCCUPIED)


@dataclass(frozen=True)
class Attempt:
    """One attempt, with an end whether or not it has one."""

    started: float
    """Unix time."""
    ended: float
    """Unix time; where none was recorded, that of the last sign of life, or now if it lives."""
    seconds: float
    """How long it took."""
    asked: float | None = None
    """Unix time at which a user asked for it; None where nobody had to."""
    usage: UsageRecord | None = None
    """What its training told."""

    def phases(self) -> dict[str, float]:
        """Seconds by phase; their sum is `seconds`. Without a word of its own an attempt has computed."""
        if self.usage is None:
            return {COMPUTING: self.seconds}
        told = fsum(self.usage.seconds.values())
        fits = min(1.0, self.seconds / told) if told else 1.0  # it is more in a damaged file alone
        found = {phase: fits * seconds for phase, seconds in self.usage.seconds.items()}
        rest = max(0.0, self.seconds - fits * told)
        since = min(rest, between(self.usage.updated, self.ended)) if self.usage.phase in WORK else 0.0
        if since:
            found[self.usage.phase] += since
        return {**found, IDLE: rest - since}


@dataclass(frozen=True)
class JobUsage:
    """What one job has taken until now."""

    run: str
    user: str
    """Who submitted the run."""
    pipeline: str
    model: str
    """That it trains or is about; empty if it is none, or several."""
    job: PlannedJob
    attempts: int
    unrecorded: int
    """How many of them are recorded nowhere here: their time counts as queued."""
    seconds: Mapping[str, float]
    """By phase."""

    @property
    def task(self) -> str:
        return str(self.job.config.get("task", ""))

    @property
    def wall(self) -> float:
        """Seconds from its submission to its end, or until now."""
        return fsum(self.seconds.values())

    @property
    def _hours(self) -> float:
        return self.job.resources.nodes * fsum(self.seconds[phase] for phase in OCCUPIED) / 3600

    @property
    def gpu_hours(self) -> float:
        return self.job.resources.gpus * self._hours

    @property
    def core_hours(self) -> float:
        return self.job.resources.cpus * self._hours


def usage(run: RunFolder, outside: Mapping[str, JobState] | None = None) -> list[JobUsage]:
    """What each job of a run has taken until now, in topological order.

    Args:
        outside: how jobs ended whose attempts are not in this folder (`launcher.backends.base.Backend.ended`). Of a
            run that has such jobs they alone are counted.

    Raises:
        FormatError: the plan or a state is of a newer version, or damaged.
        RunDeletedError: the folder is gone.
    """
    plan, now, user = run.plan(), time.time(), _owner(run)
    seen = {job.name: run.observe(job.name) for job in plan.jobs}
    absent = {name for name in seen if outside is not None and not run.job(name).attempts.exists()}
    seen |= {name: Observation(state, final=True) for name, state in (outside or {}).items() if name in absent}
    view = derive(plan, seen, run.is_supervised())
    submitted = (run.path / "plan.json").stat().st_mtime
    # A local run that was left alone waits for its user; whether another scheduler still has one is not told here.
    goes_on = view.supervised or not run.supervisor_lock.exists()
    ends: dict[str, float | None] = {}
    found = []
    for job in view.jobs:
        attempts, unrecorded = _attempts(run.job(job.name), job, now)
        needs = [ends[need] for need in job.job.needs]
        ready = None if None in needs else max((end for end in needs if end is not None), default=submitted)
        waits = job.status is Status.RUNNING or (
            goes_on and job.name not in absent and job.status in READY | {Status.PENDING}
        )
        asked = asked_for(run.job(job.name), job.state)
        seconds = account(submitted, ready, attempts, now if waits else None, asked)
        told = (run.name, user, plan.pipeline, model_of(plan, job.job), job.job)
        found.append(JobUsage(*told, len(attempts) + unrecorded, unrecorded, seconds))
        done = job.status is Status.DONE
        ends[job.name] = (attempts[-1].ended if attempts else job.state.ended or submitted) if done else None
    return found


def account(
    submitted: float, ready: float | None, attempts: Sequence[Attempt], until: float | None, asked: float | None = None
) -> dict[str, float]:
    """Seconds of a job by phase. Pure; moments are Unix times.

    Args:
        ready: when the last job that it needs was done; None: one of them is not.
        attempts: in the order in which they began.
        until: now, if it waits for another attempt, or for its first one.
        asked: when a user asked for that.
    """
    spent = dict.fromkeys(PHASES, 0.0)

    def wait(begin: float, end: float, asked: float | None) -> None:
        gap = between(begin, end)
        held = gap if ready is None else min(gap, between(begin, max(ready, begin if asked is None else asked)))
        spent[HELD] += held
        spent[QUEUED] += gap - held

    at = submitted
    for attempt in attempts:
        wait(at, attempt.started, attempt.asked)
        for phase, seconds in attempt.phases().items():
            spent[phase] += seconds
        at = attempt.ended
    if until is not None:
        wait(at, until, asked)
    return spent


def model_of(plan: Plan, job: PlannedJob) -> str:
    """The model in a job's config, or that of the job whose outputs are its frozen backbone; empty without one."""
    model, backbone = job.config.get("model"), job.config.get("backbone")
    if isinstance(model, dict):
        return str(model.get("name", ""))
    for name in job.needs if backbone else ():
        if Path(str(backbone)) == plan.job_folder(name).outputs:
            return model_of(plan, plan.job(name))
    return ""


def _attempts(folder: JobFolder, job: JobView, now: float) -> tuple[list[Attempt], int]:
    """The attempts of a job, and how many have no record."""
    here = {int(entry.name) for entry in folder.attempts.glob("[0-9]*") if entry.name.isdecimal()}
    numbers = sorted(here | ({job.state.attempt} if job.state.started is not None else set()))
    records = {number: record for number in numbers if (record := _record(folder, number, job.state))}
    starts = [record.started for record in records.values()][1:]
    found = []
    for (number, record), following in zip(records.items(), [*starts, now], strict=False):
        told = UsageRecord.read(folder.attempt(number))
        lives = job.status is Status.RUNNING and number == numbers[-1]
        if record.ended is not None:
            ended = record.ended
        elif lives:
            ended = now
        else:
            is_last = number == numbers[-1]
            ended = min(_last_sign(folder, number, told, is_last), max(following, record.started))
        worked = fsum(told.seconds.values()) if told else 0.0
        seconds = max(between(record.started, ended), worked) if record.seconds is None else record.seconds
        found.append(Attempt(record.started, ended, seconds, record.asked, told))
    return found, max(len(numbers), job.state.attempt) - len(records)


def _record(folder: JobFolder, number: int, state: JobState) -> AttemptRecord | None:
    """When an attempt began and ended; of one of an older version the job's state knows it, if it is the latest."""
    if record := AttemptRecord.read(folder.attempt(number)):
        return record
    is_latest = state.attempt == number and state.started is not None
    return AttemptRecord(state.started or 0.0, ended=state.ended) if is_latest else None


def _last_sign(folder: JobFolder, number: int, told: UsageRecord | None, is_last: bool) -> float:
    """When an attempt that has no end was last heard of: by its files, in Unix time."""
    signs = [told.updated] if told else []
    for file in (*_files(folder.attempt(number)), *([folder.progress] if is_last else [])):
        with suppress(OSError):
            signs.append(file.stat().st_mtime)
    return max(signs, default=0.0)


def _files(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from folder.iterdir()


def _owner(run: RunFolder) -> str:
    uid = os.stat(run.path).st_uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
