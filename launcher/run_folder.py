"""A run on disk: created complete or not at all, then read by any shell at any time."""

import os
import re
import secrets
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from launcher import locks, machine
from launcher.language.problems import did_you_mean
from launcher.plan import Plan
from launcher.state import JobState, Observation, Status
from locat import durable
from locat.errors import UserError
from locat.job_folder import JobFolder


class RunError(UserError):
    """A run cannot be found, or not be created."""


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run and what they tell; docs/architecture.md lists them."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def pipeline(self) -> Path:
        return self.path / "pipeline.yaml"

    @property
    def cancelled(self) -> Path:
        return self.path / "cancelled"

    @property
    def supervisor_lock(self) -> Path:
        return self.path / "supervisor.lock"

    @property
    def supervisor_log(self) -> Path:
        return self.path / "supervisor.log"

    @property
    def tracking(self) -> Path:
        return self.path / "tracking.json"

    def job(self, name: str) -> JobFolder:
        return JobFolder(self.path / "jobs" / name)

    def job_lock(self, name: str) -> Path:
        return self.job(name).path / "lock"

    def job_cancelled(self, name: str) -> Path:
        return self.job(name).path / "cancelled"

    def plan(self) -> Plan:
        """The compiled plan."""
        return Plan.from_json((self.path / "plan.json").read_text())

    def state(self, name: str) -> JobState:
        """What is recorded about a job."""
        return JobState.read(self.job(name).state)

    def is_cancelled(self, name: str) -> bool:
        """Whether a job was cancelled, alone or with its run."""
        return self.cancelled.exists() or self.job_cancelled(name).exists()

    def is_supervised(self) -> bool:
        """Whether a supervisor is alive."""
        return locks.is_held(self.supervisor_lock)

    def supervised_elsewhere(self) -> str:
        """The other machine whose supervisor was last heard of and did not end by itself; empty if there is none."""
        try:
            host = self.supervisor_lock.read_text()
        except FileNotFoundError:
            return ""
        return host if machine.is_other(host) else ""

    def observe(self, name: str) -> Observation:
        """State, lock and marker of a job, consistent with each other.

        An attempt may begin or end between two reads. "Running, and nobody holds the lock" is
        therefore believed only if the state was the same before and after the lock was looked at.
        """
        state = self.state(name)
        while True:
            alive = locks.is_held(self.job_lock(name))
            again = self.state(name)
            if alive or state.status is not Status.RUNNING or again == state:
                note = _whereabouts(again, alive) if again.status is Status.RUNNING else ""
                return Observation(again, alive, self.is_cancelled(name), note=note)
            state = again


def _whereabouts(state: JobState, alive: bool) -> str:
    """What is to be said of an attempt that has written no end, but for one that is alive on this machine."""
    if machine.is_other(state.host):
        return f"on {state.host}" if alive else f"it ran on {state.host}, whose processes are not seen from here"
    if alive:
        return ""
    restarted = state.boot and state.boot != machine.boot()
    return f"{state.host} was restarted meanwhile" if restarted else "no process of it is alive and none wrote an end"


def new_run_id(name: str) -> str:
    """A run id nobody else has: `digits-20260131-142500-3f9a`."""
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def create(plan: Plan, pipeline_text: str, runs: Path) -> RunFolder:
    """Write a run's folder in `runs` under a temporary name, then rename it: it is complete or not there.

    Where jobs see the folder of runs by another path, `plan.folder` is theirs.
    """
    run = RunFolder(runs / plan.run_id)
    try:
        runs.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=runs, prefix=".new-"))
        try:
            _write(temporary, plan, pipeline_text)
            temporary.chmod(0o755)
            os.rename(temporary, run.path)
        except BaseException:
            shutil.rmtree(temporary)
            raise
        durable.sync_folder(runs)
    except OSError as error:
        raise RunError(f"cannot create the run {run.path}: {error.strerror or error}") from error
    return run


def _write(folder: Path, plan: Plan, pipeline_text: str) -> None:
    import yaml  # a third of the time that an attempt runner takes to start, which needs it not

    durable.write_text(folder / "pipeline.yaml", redact(pipeline_text))
    durable.write_text(folder / "plan.json", plan.to_json())
    for job in plan.jobs:
        text = yaml.safe_dump(job.config, sort_keys=False, allow_unicode=True)
        durable.write_text(folder / "jobs" / job.name / "config.yaml", text)


def redact(text: str) -> str:
    """`text` without the credentials of URLs (user:password@host)."""
    return re.sub(r"(?<=://)[^\s/@'\"]+@", "***@", text)


def list_runs(runs: Path) -> list[RunFolder]:
    """The runs in a folder, newest first."""
    plans = [entry for entry in runs.glob("[!.]*/plan.json") if entry.is_file()]
    plans.sort(key=lambda plan: plan.stat().st_mtime_ns, reverse=True)
    return [RunFolder(plan.parent.resolve()) for plan in plans]


def find(runs: Path, reference: str | None) -> RunFolder:
    """The run called `reference` (or by a prefix that only one run has); the newest if None.

    Raises:
        RunError: there is no such run, or several.
    """
    known = list_runs(runs)
    if not known:
        raise RunError(f"no runs in {runs} (another folder: --runs-dir or LAUNCHER_RUNS)")
    if reference is None:
        return known[0]
    exact = [run for run in known if run.name == reference]
    matches = exact or [run for run in known if run.name.startswith(reference)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise RunError(f"{reference!r} is several runs: {', '.join(run.name for run in matches)}")
    raise RunError(f"no run {reference!r} in {runs}{did_you_mean(reference, [run.name for run in known])}")


def find_job(plan: Plan, name: str) -> str:
    """`name` if the plan has such a job.

    Raises:
        RunError: it has none.
    """
    names = [job.name for job in plan.jobs]
    if name not in names:
        raise RunError(f"no job {name!r} in run {plan.run_id}{did_you_mean(name, names)}")
    return name
