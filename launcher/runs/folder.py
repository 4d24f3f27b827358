"""A run on disk, read by any shell at any time."""

import os
from dataclasses import dataclass
from pathlib import Path

from launcher import locks, machine
from launcher.plan import Plan
from launcher.runs.errors import RunDeletedError
from launcher.runs.state import JobState, Observation, Status
from locat.contract import records
from locat.contract.job_folder import JobFolder

PATH_FILE = "python-path"
"""In a run's folder: the PYTHONPATH of all that runs of it, which begins with the run's copy of the code."""


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run and what they tell; docs/run-folder.md lists them."""

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

    def code(self) -> dict[str, str]:
        """The variables by which Python imports the run's own code, whatever the shell has; for all that runs of it.

        None of a run whose code was not copied: an older version submitted it, or an image has the code.
        """
        try:
            return {"PYTHONPATH": (self.path / PATH_FILE).read_text()}
        except FileNotFoundError:
            return {}

    def code_folder(self) -> Path | None:
        """Where that code is; None of a run whose code was not copied."""
        path = self.code().get("PYTHONPATH")
        return Path(path.split(os.pathsep)[0]) if path else None

    def job(self, name: str) -> JobFolder:
        return JobFolder(self.path / "jobs" / name)

    def job_lock(self, name: str) -> Path:
        return self.job(name).path / "lock"

    def job_cancelled(self, name: str) -> Path:
        return self.job(name).path / "cancelled"

    def exists(self) -> bool:
        """Whether it is there: a run may be deleted at any time."""
        return (self.path / "plan.json").exists()

    def plan(self) -> Plan:
        """The compiled plan.

        Raises:
            FormatError: a newer version made it, or it is no plan.
            RunDeletedError: the folder is gone.
        """
        file = self.path / "plan.json"
        try:
            with records.intact(file):
                text = file.read_text()
        except FileNotFoundError:
            raise RunDeletedError(f"{self.path}: this run was deleted") from None
        return Plan.from_json(text, file)

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
            host, _, its_id = self.supervisor_lock.read_text().partition(" ")
        except (FileNotFoundError, PermissionError):  # another user's: who is not its owner starts nothing
            return ""
        return host if machine.is_other(host, its_id) else ""

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
                running = again.status is Status.RUNNING
                note = _whereabouts(again, alive) if running else ""
                unseen = running and again.is_elsewhere and not alive
                return Observation(again, alive, self.is_cancelled(name), note=note, unseen=unseen)
            state = again


def _whereabouts(state: JobState, alive: bool) -> str:
    """What is to be said of an attempt that has written no end, but for one that is alive on this machine."""
    if state.is_elsewhere:
        return f"on {state.host}" if alive else f"it ran on {state.host}, whose processes are not seen from here"
    if alive:
        return ""
    restarted = state.boot and state.boot != machine.boot()
    return f"{state.host} was restarted meanwhile" if restarted else "no process of it is alive and none wrote an end"
