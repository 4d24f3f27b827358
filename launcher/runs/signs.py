"""What tells how a running job does: its loss, what was evaluated last, how fast it goes and what it holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launcher.runs.course import Course, Point
from launcher.runs.folder import RunFolder
from launcher.runs.status import JobView, RunView
from locat.contract.metric_record import in_json
from locat.contract.progress import ProgressRecord

LOSS, EVALUATED = "train/loss", "val/"
IMAGES, DATA_WAIT = "throughput/images_per_second", "throughput/data_wait"


@dataclass(frozen=True)
class Curve:
    """One metric until now."""

    metric: str
    points: tuple[Point, ...]
    """By growing step, at least one; of a long course not all."""

    @property
    def last(self) -> float:
        return self.points[-1][1]

    def as_json(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "step": self.points[-1][0],
            "value": in_json(self.last),
            "course": [[step, in_json(value)] for step, value in self.points],
        }


@dataclass(frozen=True)
class Signs:
    """What one running job tells of itself; None is what it has not told (yet)."""

    loss: Curve | None = None
    evaluated: Curve | None = None
    """The metric that decides about its best checkpoint, else the first one of its evaluations."""
    images_per_second: float | None = None
    data_wait: float | None = None
    """Share of the time in which training waits for its data."""
    progress: ProgressRecord | None = None

    @property
    def gpu_memory(self) -> float | None:
        """Bytes that the main rank has held at most of its GPU's memory."""
        return (self.progress.gpu_memory or None) if self.progress else None

    def as_json(self) -> dict[str, Any]:
        """For programs; how far it is stands elsewhere."""
        return {
            "loss": self.loss.as_json() if self.loss else None,
            "evaluated": self.evaluated.as_json() if self.evaluated else None,
            "images_per_second": None if self.images_per_second is None else in_json(self.images_per_second),
            "data_wait": None if self.data_wait is None else in_json(self.data_wait),
        }


class Observer:
    """Looks at the running jobs of a run, again and again: what was read once is not read again."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._courses: dict[str, Course] = {}

    def look(self, view: RunView) -> dict[str, Signs]:
        """The signs of each running job by its name."""
        return {job.name: self.of(job) for job in view.running}

    def of(self, job: JobView) -> Signs:
        """The signs of one job that runs."""
        decisive = _decisive(job.job.config)
        if job.name not in self._courses:
            names = (LOSS, decisive, IMAGES, DATA_WAIT)
            self._courses[job.name] = Course(self._run.job(job.name).metrics, names)
        course = self._courses[job.name]
        course.look()
        images, wait = _curve(course, IMAGES), _curve(course, DATA_WAIT)
        return Signs(
            _curve(course, LOSS),
            _curve(course, decisive),
            images.last if images else None,
            wait.last if wait else None,
            ProgressRecord.read(self._run.job(job.name).progress),
        )


def _curve(course: Course, name: str) -> Curve | None:
    metric, points = course.of(name)
    return Curve(metric, tuple(points)) if points else None


def _decisive(config: Mapping[str, Any]) -> str:
    """The evaluated metric that a job's config chooses something by; else any."""
    for key, name in (("checkpoints", "best"), ("early_stop", "metric")):
        section = config.get(key)
        if isinstance(section, Mapping) and isinstance(chosen := section.get(name), str):
            return EVALUATED + chosen
    return EVALUATED
