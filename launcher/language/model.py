"""The pipeline language: its schema, and `load`, which reads a file into it.

A `Pipeline` is valid on its own terms: keys and types, tasks, `needs`, no cycle, no secrets.
Whether each job's config fits its task is known only once matrices and references are followed:
that is the compiler's part.
"""

import graphlib
import heapq
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    WithJsonSchema,
    create_model,
)

from launcher.backends import OPTIONS
from launcher.language.notify import Notification
from launcher.language.words import (
    BackendOptions,
    Duration,
    Image,
    MountPath,
    ObjectName,
    Schema,
    Size,
    mebibytes,
    named,
)
from locat.config import TASKS, PositiveInt
from locat.config.base import ExperimentName, PositiveFloat, TrackingUri
from locat.contract.gpus import Gpu
from locat.contract.problems import KeyPath, did_you_mean, shown
from locat.contract.yaml_source import Source


def _known_task(value: str) -> str:
    if value not in TASKS:
        raise ValueError(f"expected one of {', '.join(TASKS)}, got {shown(value)}{did_you_mean(value, TASKS)}")
    return value


def _number_as_text(value: Any) -> Any:
    return str(value) if type(value) in (int, float) else value


PipelineName = Annotated[
    str, named("lower-case letters, digits and '-', from a letter on", "[a-z]([a-z0-9-]*[a-z0-9])?", 40)
]
JobName = Annotated[
    str, named("lower-case letters, digits, '-' and '_', from a letter on", "[a-z]([a-z0-9_-]*[a-z0-9])?", 63)
]
AxisName = Annotated[
    str,
    named(
        "an axis name of lower-case letters, digits and '_'",
        "[a-z][a-z0-9_]*",
        30,
    ),
]
VariableName = Annotated[str, named("a variable name of letters, digits and '_'", "[A-Za-z_][A-Za-z0-9_]*", 200)]
Task = Annotated[str, AfterValidator(_known_task), WithJsonSchema({"enum": list(TASKS.built_in)})]
Environment = dict[VariableName, Annotated[str, BeforeValidator(_number_as_text)]]
NonNegativeInt = Annotated[int, Field(ge=0)]
GpuType = Annotated[str, named("a type of GPU: letters, digits and '_.-'", "[A-Za-z0-9][A-Za-z0-9_.-]*", 63)]


class TrackingSettings(Schema):
    """The MLflow store of the run."""

    uri: TrackingUri | None = None
    """MLflow tracking URI; by default a SQLite store in the folder of runs. The path in `sqlite:///FILE.db` is relative
    to the folder of this file."""
    experiment: ExperimentName | None = None
    """Experiment name; by default the pipeline's name."""


class ResourceRequest(Schema):
    """Resources of a job. Keys that are left out come from `defaults`."""

    nodes: PositiveInt | None = None
    """Number of nodes; 1 by default."""
    processes: PositiveInt | None = None
    """Ranks per node; by default one per GPU, or 1 without GPUs."""
    gpus: NonNegativeInt | None = None
    """GPUs per node, one per rank; 0 by default."""
    gpu_type: GpuType | None = None
    """The scheduler's name for the type of GPU, such as `a100`. The local backend takes any GPU. Estimates look up its
    memory and speed by this name (see `gpus` of the file)."""
    cpus: PositiveInt | None = None
    """Cores per node; by default one per rank."""
    memory: Size | None = None
    """Memory per node, such as `64G`; by default what the scheduler grants. The local backend sets no limit."""
    time: Duration | None = None
    """Time limit of an attempt, such as `12h`; the job then checkpoints and resumes in another attempt."""


class GpuFigures(Schema):
    """Memory and peak speed of a type of GPU, from its data sheet."""

    memory: Size
    """Memory of one GPU, such as `80G`."""
    bf16: PositiveFloat
    """TFLOP/s of dense matrix products in bf16 and fp16, without sparsity."""
    fp32: PositiveFloat
    """TFLOP/s in float32, not TF32."""
    bandwidth: PositiveFloat
    """GB/s between GPU and memory."""

    def named(self, name: str) -> Gpu:
        """The GPU that a pipeline calls `name`."""
        memory = mebibytes(self.memory)
        return Gpu(name, memory, self.bf16, self.bf16, self.fp32, self.bandwidth, "the pipeline's gpus")


class Storage(Schema):
    """The source of a folder that jobs see, for each backend that runs the pipeline."""

    path: MountPath | None = None
    """Folder on this machine, or on every node of a Slurm cluster; by default the path at which jobs see it. Any other
    path needs a container."""
    claim: ObjectName | None = None
    """Name of a PersistentVolumeClaim, for Kubernetes."""
    volume: dict[str, Any] = Field(default={})
    """Any other source of a volume, as in a pod's spec: `{nfs: {server: files.example, path: /datasets}}`."""
    read_only: bool = False
    """Mount the folder read-only in containers. Without a container, the permissions of the file system hold."""


class Options(Schema):
    """Options of each backend; the other backends ignore them."""

    # A field for each backend that has options: `language` adds them.

    def over(self, defaults: Self) -> Self:
        """These options; what is left out is taken from `defaults`."""
        merged = {
            backend: {**of_defaults.model_dump(exclude_unset=True), **own.model_dump(exclude_unset=True)}
            for (backend, own), (_, of_defaults) in zip(self._by_backend(), defaults._by_backend(), strict=True)
        }
        return self.model_validate(merged)

    def check_job(self, image: str) -> Iterator[tuple[KeyPath, str]]:
        """What contradicts the rest of a job, as the backends' own options say: path below `options`, and message."""
        for backend, options in self._by_backend():
            for path, message in options.check_job(image):
                yield (backend, *path), message

    def says(self, path: KeyPath) -> bool:
        """Whether a backend's key (or what it is in) was written here; else it is a default."""
        return any(backend == path[0] and path[1] in own.model_fields_set for backend, own in self._by_backend())

    def _by_backend(self) -> Iterator[tuple[str, BackendOptions]]:
        return ((backend, getattr(self, backend)) for backend in type(self).model_fields)


class Defaults(Schema):
    """Values for every job that does not set its own."""

    strategy: Any = None
    """For tasks that train: ddp, fsdp, deepspeed, or `{name: deepspeed, zero_stage: 3}`."""
    seed: int | None = None
    """For tasks that train: seed of weights, order and augmentation."""
    retries: NonNegativeInt = 0
    """How often a job is retried after a counted failure."""
    env: Environment = Field(default={})
    """Environment variables."""
    resources: ResourceRequest = ResourceRequest()
    """Resources of each job; `nodes`, `processes`, `gpus` and `gpu_type` apply only to tasks that run on several
    ranks."""
    image: Image | None = None
    """Container image that jobs run in."""
    storage: dict[MountPath, Storage] = Field(default={})
    """Path at which jobs see a folder -> source of the folder."""
    notify: list[Notification] = Field(default=[])
    """Notifications about the end and the progress of each job."""
    options: Options = Options()
    """Options that only one backend understands."""


class Job(Schema):
    """One step of the pipeline; with a matrix, one job per combination of its values."""

    task: Task
    """What the job does."""
    needs: list[str] = Field(default=[])
    """Jobs that must be done first. For a job with a matrix, the instances that have equal values on shared axes."""
    matrix: dict[AxisName, Annotated[list[Any], Field(min_length=1)]] = Field(default={})
    """Axis name -> values, either single values or mappings with a `name`. `exclude` lists combinations to leave out
    (mappings from some axes to values), `include` lists combinations to add (mappings from every axis to a value)."""
    resources: ResourceRequest = ResourceRequest()
    """Resources of the job."""
    image: Image | None = None
    """Container image that the job runs in: a name in a registry, or the path of an image file. On Slurm,
    `options.slurm.container` must name the engine. The local backend runs jobs without a container."""
    storage: dict[MountPath, Storage] = Field(default={})
    """Path at which the job sees a folder -> source of the folder, in addition to those of `defaults`."""
    retries: NonNegativeInt | None = None
    """How often the job is retried after a counted failure."""
    env: Environment = Field(default={})
    """Environment variables; they override those of `defaults`."""
    notify: list[Notification] | None = None
    """Notifications about the end and the progress of the job, instead of those of `defaults`."""
    options: Options = Options()
    """Options that only one backend understands; they override those of `defaults`."""
    strategy: Any = None
    """For tasks that train, as in `defaults`."""
    config: dict[str, Any] = Field(default={})
    """The task's own keys (locat/config/); values may be references."""


class Pipeline(Schema):
    """A whole pipeline file."""

    name: PipelineName
    """Name of the pipeline; names of runs begin with it."""
    description: str = ""
    """One line that describes the pipeline."""
    include: str | list[str] = Field(default=[])
    """Pipeline files that this file extends, as paths relative to its folder: it merges mappings and replaces all other
    values."""
    plugins: list[Annotated[str, Field(min_length=1)]] = Field(default=[])
    """Your own code with tasks, datasets, models, augmentations, segmentation heads or optimizers: .py files and
    folders, as paths relative to this file's folder, and installed packages. Checking the pipeline runs this code, and
    jobs import a copy of it."""
    secrets: list[VariableName] = Field(default=[])
    """Environment variables that must be set in the shell that submits. Jobs inherit them; the launcher never writes
    them to a file."""
    notify: list[Notification] = Field(default=[])
    """Notifications about the end of the whole run; with `stalled` and `metric`, about the progress of any of its
    jobs."""
    tracking: TrackingSettings = TrackingSettings()
    """Where to track metrics."""
    gpus: dict[GpuType, GpuFigures] = Field(default={})
    """Type of GPU, as in `gpu_type` -> its memory and speed, for types that estimates do not know."""
    defaults: Defaults = Defaults()
    """Defaults for every job."""
    jobs: Annotated[dict[JobName, Job], Field(min_length=1)]
    """Job name -> job."""

    _source: Source = PrivateAttr()

    @property
    def source(self) -> Source:
        """The values as the user wrote them, overrides included, with their places."""
        return self._source

    def in_order(self) -> list[str]:
        """Names of the jobs, each after those it needs, otherwise as in the file.

        Raises:
            graphlib.CycleError: there is no such order.
        """
        sorter = graphlib.TopologicalSorter({name: job.needs for name, job in self.jobs.items()})
        sorter.prepare()
        names = list(self.jobs)
        position = {name: index for index, name in enumerate(names)}
        ready: list[int] = []
        ordered: list[str] = []
        while sorter.is_active():
            for name in sorter.get_ready():
                heapq.heappush(ready, position[name])
            ordered.append(names[heapq.heappop(ready)])
            sorter.done(ordered[-1])
        return ordered


Model = TypeVar("Model", bound=Schema)


@cache
def language(others: tuple[str, ...] = ()) -> type[Pipeline]:
    """The model of a whole file, with the options of all built-in backends and of these of other packages."""
    models = {name: OPTIONS[name] for name in (*OPTIONS.own, *others)}
    fields: dict[str, Any] = {
        name: (model, Field(model(), description=f"For `--backend {name}`.")) for name, model in models.items()
    }
    options = create_model("Options", __base__=Options, __doc__=Options.__doc__, **fields)
    defaults = _with(Defaults, options=(options, options()))
    job = _with(Job, options=(options, options()))
    jobs = Annotated[dict[JobName, job], Field(min_length=1)]  # type: ignore[valid-type]
    return _with(Pipeline, defaults=(defaults, defaults()), jobs=(jobs, ...))


def _with(model: type[Model], **fields: tuple[Any, Any]) -> type[Model]:
    """The model with other types and defaults of some fields."""
    described = {
        name: (kind, Field(default, description=model.model_fields[name].description))
        for name, (kind, default) in fields.items()
    }
    made: type[Model] = create_model(model.__name__, __base__=model, __doc__=model.__doc__, **described)  # type: ignore
    return made
