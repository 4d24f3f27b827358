"""What stands on disk about a job's tracking, beside metrics.jsonl; read and written without MLflow.

Each file has one writer, so that none waits for another: `lifetime.json` is the job's own word on when it
began and how it ended; `tracking.json` says what MLflow has, and belongs to whoever holds `tracking.lock`,
be it the job's thread or `launcher sync`.
"""

import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from locat.contract import durable
from locat.contract.job_folder import JobFolder


@dataclass(frozen=True)
class Lifetime:
    """When a job began and how it ended; a killed one stays RUNNING here."""

    started: float
    """Unix time of the first attempt's start."""
    status: str = "RUNNING"
    """An MLflow RunStatus name."""
    ended: float | None = None
    """Unix time."""

    @classmethod
    def read(cls, job: JobFolder) -> "Lifetime | None":
        """The job's own word; None before it came so far, or where that is damaged."""
        try:
            return cls(**json.loads(_lifetime(job).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    @classmethod
    def begin(cls, job: JobFolder) -> "Lifetime":
        """Record that the job runs, for the first time or again."""
        earlier = cls.read(job)
        return cls(earlier.started if earlier else time.time())._write(job)

    def end(self, job: JobFolder, status: str) -> "Lifetime":
        """Record that the job has ended just now."""
        return replace(self, status=status, ended=time.time())._write(job)

    def ended_as(self, job: JobFolder, status: str) -> "Lifetime":
        """How the job ended; as `status`, at its last sign of life, where it could not say itself."""
        if self.status != "RUNNING":
            return self
        signs = [file.stat().st_mtime for file in (_lifetime(job), job.metrics, job.progress) if file.exists()]
        return replace(self, status=status, ended=max(signs))

    def _write(self, job: JobFolder) -> "Lifetime":
        durable.write_json(_lifetime(job), asdict(self))
        return self


@dataclass(frozen=True)
class Sent:
    """What MLflow has of a job."""

    run_id: str = ""
    """Empty until the run is created and has its parameters."""
    offset: int = 0
    """Bytes of metrics.jsonl that were sent."""
    outputs: tuple[str, ...] = ()
    """Files below outputs/ that were sent."""
    status: str = ""
    """The status told last; an ended one is told once all the rest was sent."""
    ended: float | None = None
    """The end told last."""

    @classmethod
    def read(cls, job: JobFolder) -> "Sent":
        """What was sent so far; nothing without a file, or with a damaged one: the key finds the run again."""
        try:
            values = json.loads(job.tracking.read_text())
            return cls(**{**values, "outputs": tuple(values.get("outputs", ()))})
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return cls()

    def is_all_of(self, lifetime: Lifetime) -> bool:
        """Whether MLflow knows of this end, and so of all before it."""
        return (self.status, self.ended) == (lifetime.status, lifetime.ended)

    def write(self, job: JobFolder) -> None:
        durable.write_json(job.tracking, asdict(self))


@dataclass(frozen=True)
class Parent:
    """`tracking.json` of a run's folder: the MLflow run of the whole pipeline run, and what was told of its end."""

    uri: str = ""
    experiment_id: str = ""
    run_id: str = ""
    """Empty: there is none yet."""
    status: str = ""
    ended: float | None = None

    @classmethod
    def read(cls, folder: Path) -> "Parent":
        """The record in a run's folder; a damaged one is made anew, since the key finds the run again."""
        try:
            return cls(**json.loads((folder / "tracking.json").read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return cls()

    def knows(self, status: str, ended: float) -> bool:
        """Whether MLflow was told this end, or one after it; also where there is no run to be told of."""
        return not self.run_id or (self.status == status and (self.ended or 0.0) >= ended)

    def write(self, folder: Path) -> "Parent":
        durable.write_json(folder / "tracking.json", asdict(self))
        return self


@contextmanager
def only_sender(folder: Path, wait: bool = True) -> Iterator[str]:
    """Be the only one that sends for this folder, of a job or of a run.

    Gives the folder's key: its MLflow run is tagged with it, and so is found again when the answer to the
    request that created it was lost.

    Raises:
        BlockingIOError: another process sends, and `wait` is False.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "tracking.lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        file.seek(0)
        key = file.read()
        if len(key) != len(uuid.uuid4().hex):
            key = uuid.uuid4().hex
            file.truncate(0)
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
            durable.sync_folder(folder)
        yield key


def _lifetime(job: JobFolder) -> Path:
    return job.path / "lifetime.json"
