"""What stands on disk about a job's tracking, beside metrics.jsonl; read and written without MLflow.

Each file has one writer, so that none waits for another: `lifetime.json` is the job's own word on when it
began and how it ended; `tracking.json` (locat/contract/tracking.py) says what MLflow has, and belongs to whoever
holds `tracking.lock`, be it the job's thread or `launcher sync`.
"""

import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from locat.contract import durable, filesystem, records
from locat.contract.job_folder import JobFolder

FORMAT = 1
"""Of lifetime.json."""


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
            return records.built(cls, records.read_object(_lifetime(job)))
        except (FileNotFoundError, ValueError):
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
        durable.write_json(_lifetime(job), records.numbered(asdict(self), FORMAT))
        return self


@contextmanager
def only_sender(folder: Path, wait: bool = True) -> Iterator[str]:
    """Be the only one that sends for this folder, of a job or of a run.

    Gives the folder's key: its MLflow run is tagged with it, and so is found again when the answer to the
    request that created it was lost.

    Raises:
        BlockingIOError: another process sends, and `wait` is False.
    """
    with os.fdopen(filesystem.open_lock(folder / "tracking.lock"), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        key = file.read()
        if len(key) != len(uuid.uuid4().hex):
            key = uuid.uuid4().hex
            file.seek(0)
            file.truncate()
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
            durable.sync_folder(folder)
        yield key


def _lifetime(job: JobFolder) -> Path:
    return job.path / "lifetime.json"
