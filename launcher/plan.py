"""What a compiled pipeline is: a pure value that any backend can render."""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from locat.contract import gpus, records
from locat.contract.gpus import Gpu
from locat.contract.job_folder import JobFolder

DEFAULT_BACKEND = "local"
"""Where runs go if nobody says otherwise."""
FORMAT = 2
"""Of plan.json. 1: has no number, and none of `secrets` and `storage` before these were there. 2: has its number.

A plan is written in the format it was read in: what `retry` gives a cluster must be read by the image, perhaps an older
one, that the run was submitted with, and readers of format 1 refuse keys they do not know.
"""
BRANCHED_FROM = "branched_from"
"""Tag in MLflow, of the run of a job that goes on from another run's checkpoint."""

_NAME = re.compile(r"\w[\w.-]{0,254}", re.ASCII)
"""Names of runs and jobs become names of folders, and are printed."""


@dataclass(frozen=True)
class Resources:
    """What one job occupies on each of its nodes."""

    nodes: int = 1
    processes: int = 1
    """Ranks per node."""
    gpus: int = 0
    """GPUs per node, one a rank."""
    cpus: int = 1
    """Cores per node."""
    gpu_type: str = ""
    """As the scheduler calls it; empty: any."""
    memory: int | None = None
    """MiB per node; None: what the scheduler gives by default."""
    time: int | None = None
    """Minutes an attempt may take; None: what the scheduler allows."""


@dataclass(frozen=True)
class Volume:
    """A folder that a job sees, and where it comes from."""

    mount: str
    """Absolute path at which the job sees it."""
    path: str
    """Folder of the machine."""
    claim: str = ""
    """PersistentVolumeClaim, on Kubernetes."""
    read_only: bool = False
    source: dict[str, Any] = field(default_factory=dict)
    """Any other source of a volume, as a pod's spec has it; on Kubernetes."""


@dataclass(frozen=True)
class Event:
    """Something to be told."""

    kind: str
    """done, failed, invalid, stalled or metric."""
    minutes: int = 0
    """Of `stalled`: without progress."""
    condition: str = ""
    """Of `metric`: see `launcher.notify.condition`."""


@dataclass(frozen=True)
class Notification:
    """What is told, and by which way."""

    on: tuple[Event, ...]
    way: str
    """webhook, email, command or apprise."""
    settings: dict[str, Any]
    """Of that way: `launcher.language.notify`. A secret is named, never written."""


@dataclass(frozen=True)
class PlannedJob:
    """One job of a plan: a pipeline job, or one instance of its matrix."""

    name: str
    """Unique in the run and a folder name; `pretrain-locatvit_tiny` for an instance of `pretrain`."""
    group: str
    """Name of the pipeline job it is an instance of."""
    matrix: dict[str, Any]
    """This instance's value of each matrix axis; empty without a matrix."""
    needs: tuple[str, ...]
    """Names of planned jobs that must be done first."""
    command: tuple[str, ...]
    """What runs on one node; `python` stands for the interpreter that runs it."""
    environment: dict[str, str]
    resources: Resources
    retries: int
    """Counted failures after which the job is run again."""
    config: dict[str, Any]
    """Content of the job's config.yaml: a complete and valid `locat.config.JobConfig`."""
    options: dict[str, Any] = field(default_factory=dict)
    """Backend -> what the pipeline says to it alone: `launcher.backends.OPTIONS`."""
    image: str = ""
    """Container image it runs in, where the backend has containers; empty: none is named."""
    storage: tuple[Volume, ...] = ()
    notify: tuple[Notification, ...] = ()

    @property
    def checkpoints(self) -> dict[str, Any]:
        """What its config says of checkpoints; empty for a job that has none of ours."""
        settings = self.config.get("checkpoints")
        return settings if isinstance(settings, dict) else {}

    @property
    def branched_from(self) -> str:
        """RUN/JOB@STEP of the checkpoint that it goes on from; empty if it begins anew."""
        tags = (self.config.get("tracking") or {}).get("tags", {})
        return str(tags.get(BRANCHED_FROM, ""))


@dataclass(frozen=True)
class Plan:
    """A run: its jobs in topological order and where they write."""

    run_id: str
    pipeline: str
    description: str
    folder: Path
    """Absolute path of the run's folder."""
    tracking_uri: str
    experiment: str
    jobs: tuple[PlannedJob, ...]
    backend: str = DEFAULT_BACKEND
    """Where it runs: a name of `launcher.backends.BACKENDS`."""
    secrets: tuple[str, ...] = ()
    """Environment variables that the submitting shell must have; their values are written nowhere."""
    notify: tuple[Notification, ...] = ()
    """Of the run as a whole."""
    plugins: tuple[str, ...] = ()
    """Absolute paths, and names of packages: what of the user's own code jobs import a copy of."""
    parcel: tuple[str, ...] = ()
    """Lines of that copy (`launcher.plugins.parcel`), where jobs see no folder of the machine that submits."""
    gpus: tuple[Gpu, ...] = ()
    """Types of GPU that the pipeline describes itself."""
    format: int = field(default=FORMAT, compare=False)
    """Of the text it was read from, and is written as."""

    def job(self, name: str) -> PlannedJob:
        """The job called `name`; KeyError if there is none."""
        for job in self.jobs:
            if job.name == name:
                return job
        raise KeyError(name)

    def job_folder(self, name: str) -> JobFolder:
        """Where the job called `name` keeps what it writes."""
        return JobFolder(self.folder / "jobs" / name)

    def gpu_of(self, job: PlannedJob) -> Gpu | None:
        """The type of GPU that a job runs on; None where it names none, or one that is not known."""
        return gpus.find(job.resources.gpu_type, self.gpus)

    def to_json(self) -> str:
        """Text of plan.json: the same plan gives the same bytes."""
        values = {**asdict(self), "folder": str(self.folder)}
        for owner in (values, *values["jobs"]):
            if not owner["notify"]:  # readers of format 1 refuse the key
                del owner["notify"]
        number = values.pop("format")
        for name in ("plugins", "parcel", "gpus"):
            if not values[name]:
                del values[name]
        return json.dumps(values if number == 1 else records.numbered(values, number), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, file: Path | str = "plan.json") -> "Plan":
        """The inverse of `to_json`; `file` is where the text is from.

        Raises:
            FormatError: a newer version wrote it, or it is no plan.
        """
        with records.intact(file):
            values = json.loads(text)
            number = records.check_format(values, FORMAT, file)
            jobs = tuple(_job(job) for job in values["jobs"])
            more = {name: tuple(values.get(name, ())) for name in ("secrets", "plugins", "parcel")}
            more["gpus"] = tuple(records.built(Gpu, gpu) for gpu in values.get("gpus", ()))
            about = {"folder": Path(values["folder"]), "jobs": jobs, "format": number}
            plan = records.built(cls, {**values, **more, **about, "notify": _notifications(values)})
            _check(plan)
            return plan


def _check(plan: Plan) -> None:
    """Raise ValueError or TypeError unless a plan can be shown: anybody may have written it."""
    for name in (plan.run_id, *(job.name for job in plan.jobs)):
        if not _NAME.fullmatch(name):
            raise ValueError(f"no name of a run or job: {name[:50]!r}")
    if not all(isinstance(text, str) for text in (plan.pipeline, plan.description, plan.backend, plan.tracking_uri)):
        raise TypeError("a text is none")
    if not all(isinstance(text, str) for text in (*plan.plugins, *plan.parcel)):
        raise TypeError("a plugin is no text")
    for gpu in plan.gpus:
        figures = (gpu.memory, gpu.bf16, gpu.fp16, gpu.fp32, gpu.bandwidth)
        if not (isinstance(gpu.name, str) and all(type(each) in (int, float) and each > 0 for each in figures)):
            raise ValueError("a GPU has something else where a name or positive numbers belong")
    known: set[str] = set()
    for job in plan.jobs:
        if not known.issuperset(job.needs):
            raise ValueError(f"{job.name} needs what does not come before it")
        known.add(job.name)
        tags = (job.config.get("tracking") or {}).get("tags", {})
        if not (isinstance(job.matrix, dict) and isinstance(tags, dict)):
            raise TypeError(f"{job.name}: a list or a text where keys belong")
        if not isinstance(job.config.get("task", ""), str):
            raise TypeError(f"{job.name}: the task is no text")


def _job(values: dict[str, Any]) -> PlannedJob:
    more = {
        "needs": tuple(values["needs"]),
        "command": tuple(values["command"]),
        "resources": records.built(Resources, values["resources"]),
        "storage": tuple(records.built(Volume, volume) for volume in values.get("storage", ())),
        "notify": _notifications(values),
    }
    return records.built(PlannedJob, {**values, **more})


def _notifications(values: dict[str, Any]) -> tuple[Notification, ...]:
    """Those of a plan or a job."""
    found = tuple(
        records.built(Notification, {**each, "on": tuple(records.built(Event, event) for event in each["on"])})
        for each in values.get("notify", ())
    )
    for each in found:
        texts = (each.way, *(text for event in each.on for text in (event.kind, event.condition)))
        numbers = (event.minutes for event in each.on)
        if not (all(isinstance(text, str) for text in texts) and isinstance(each.settings, dict)):
            raise TypeError("a notification has something else where a text or keys belong")
        if not all(isinstance(number, int | float) for number in numbers):
            raise TypeError("a notification has something else where minutes belong")
    return found
