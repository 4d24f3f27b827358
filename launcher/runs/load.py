"""What runs occupy now: cores, GPUs and memory of the jobs that run, and how many jobs wait."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from launcher import machine
from launcher.attempt import processes
from launcher.plan import DEFAULT_BACKEND, Resources
from launcher.runs.folder import RunFolder
from launcher.runs.state import Status
from launcher.runs.status import READY, JobView, RunView
from locat.contract.progress import ProgressRecord


@dataclass(frozen=True)
class JobLoad:
    """One job that runs."""

    view: JobView
    cores: int
    """Of all its nodes."""
    gpus: int
    memory: int | None
    """Bytes of its processes on this machine; None where they run elsewhere, or are another user's."""
    progress: ProgressRecord | None

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.view.name,
            "host": self.view.state.host,
            "started": self.view.state.started,
            "nodes": self.view.job.resources.nodes,
            "cores": self.cores,
            "gpus": self.gpus,
            "memory": self.memory,
            "progress": asdict(self.progress) if self.progress else None,
        }


@dataclass(frozen=True)
class RunLoad:
    """One run that has not ended."""

    run: RunFolder
    view: RunView
    jobs: tuple[JobLoad, ...]
    """Those that run."""

    @property
    def queued(self) -> int:
        """Jobs that could run: they wait for room, or for the pause between two attempts."""
        return len(self.view.having(READY))

    @property
    def pending(self) -> int:
        """Jobs that wait for others."""
        return len(self.view.having([Status.PENDING]))

    def as_json(self) -> dict[str, Any]:
        return {
            "run": self.run.name,
            "folder": str(self.run.path),
            "backend": self.view.plan.backend,
            "status": self.view.status,
            "queued": self.queued,
            "pending": self.pending,
            "jobs": [job.as_json() for job in self.jobs],
        }


def loads(views: Mapping[RunFolder, RunView]) -> list[RunLoad]:
    """Of the runs that occupy something, or will once there is room."""
    live = [(run, view) for run, view in views.items() if view.running or (view.supervised and not view.ended)]
    memory = processes.memory(run.job(job.name) for run, view in live for job in view.running)
    return [
        RunLoad(run, view, tuple(_load(run, view, job, memory.get(run.job(job.name).path)) for job in view.running))
        for run, view in live
    ]


def _load(run: RunFolder, view: RunView, job: JobView, memory: int | None) -> JobLoad:
    cores, gpus = _held(job.job.resources, here=view.plan.backend == DEFAULT_BACKEND)
    return JobLoad(job, cores, gpus, memory, ProgressRecord.read(run.job(job.name).progress))


def _held(resources: Resources, here: bool) -> tuple[int, int]:
    """Cores and GPUs; on this machine a job that wants more cores than there are has all of them."""
    cores = min(resources.cpus, machine.cores()) if here else resources.cpus
    return cores * resources.nodes, resources.gpus * resources.nodes
