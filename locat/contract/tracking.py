"""The two kinds of tracking.json: what MLflow has of a job, and of the run that it belongs to.

A damaged one is made anew: `tracking.lock` beside it holds the key by which MLflow's run is found again.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from locat.contract import durable, records
from locat.contract.job_folder import JobFolder

FORMAT = 1


@dataclass(frozen=True)
class TrackingCursor:
    """What MLflow has of a job."""

    run_id: str = ""
    """Empty until the run is created and has its parameters."""
    offset: int = 0
    """Bytes of metrics.jsonl that were sent."""
    outputs: tuple[str, ...] = ()
    """Files below outputs/ that were sent."""
    status: str = ""
    """The MLflow RunStatus told last; an ended one is told once all the rest was sent."""
    ended: float | None = None
    """The end told last, in Unix time."""
    trouble: str = ""
    """Why MLflow takes nothing of the job until the user does something; empty once it has taken something."""

    @property
    def is_finished(self) -> bool:
        """Whether MLflow knows that the job is done, and so all before that."""
        return self.status == "FINISHED"

    @classmethod
    def read(cls, job: JobFolder) -> "TrackingCursor":
        """What was sent so far; nothing without a file, or with a damaged one."""
        try:
            values = records.read_object(job.tracking)
            return records.built(cls, {**values, "outputs": tuple(values.get("outputs", ()))})
        except (FileNotFoundError, ValueError, TypeError):
            return cls()

    def knows(self, status: str, ended: float | None) -> bool:
        """Whether MLflow was told this end, and so all before it."""
        return (self.status, self.ended) == (status, ended)

    def write(self, job: JobFolder) -> None:
        durable.write_json(job.tracking, records.numbered(asdict(self), FORMAT))


@dataclass(frozen=True)
class ParentRun:
    """The MLflow run of a whole pipeline run, and what was told of its end."""

    uri: str = ""
    experiment_id: str = ""
    run_id: str = ""
    """Empty: there is none yet."""
    status: str = ""
    ended: float | None = None
    """Unix time."""
    code: str = ""
    """Digest of the code that was told last (locat/contract/source.py)."""

    @classmethod
    def read(cls, folder: Path) -> "ParentRun":
        """The record in a run's folder; an empty one without a file, or with a damaged one."""
        try:
            return records.built(cls, records.read_object(_of_run(folder)))
        except (FileNotFoundError, ValueError):
            return cls()

    def knows(self, status: str, ended: float) -> bool:
        """Whether MLflow was told this end, or one after it; also where there is no run to be told of."""
        return not self.run_id or (self.status == status and (self.ended or 0.0) >= ended)

    def write(self, folder: Path) -> "ParentRun":
        durable.write_json(_of_run(folder), records.numbered(asdict(self), FORMAT))
        return self


def _of_run(folder: Path) -> Path:
    return folder / "tracking.json"
