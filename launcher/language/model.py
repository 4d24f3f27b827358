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
    """Where MLflow keeps the run."""

    uri: TrackingUri | None = None
    """MLflow tracking URI; by default a SQLite store in the folder of runs. The path of a store `sqlite:///FILE.db` is
    from the folder of this file."""
    experiment: ExperimentName | None = None
    """Experiment name; by default the pipeline's name."""


class ResourceRequest(Schema):
    """What a job occupies. What is left out is taken from `defaults`."""

    nodes: PositiveInt | None = None
    """Machines; 1 by default."""
    processes: PositiveInt | None = None
    """Ranks per node; one a GPU by default, or else 1."""
    gpus: NonNegativeInt | None = None
    """GPUs per node, one a rank; 0 by default."""
    gpu_type: GpuType | None = None
    """As the scheduler calls it, such as `a100`. The local backend takes any GPU. Estimates look up what it has and can
    do by this name (see `gpus` of the file)."""
    cpus: PositiveInt | None = None
    """Cores per node; one a rank by default."""
    memory: Size | None = None
    """Per node, such as `64G`; by default what the scheduler gives. Locally not limited."""
    time: Duration | None = None
    """The longest an attempt may take, such as `12h`; then it checkpoints and goes on in another."""


class GpuFigures(Schema):
    """What a type of GPU has and can do at most, as its data sheet tells."""

    memory: Size
    """Of one GPU, such as `80G`."""
    bf16: PositiveFloat
    """TFLOP/s of dense matrix products in bf16, and in fp16; without sparsity."""
    fp32: PositiveFloat
    """TFLOP/s in float32, not TF32."""
    bandwidth: PositiveFloat
    """GB/s between GPU and memory."""

    def named(self, name: str) -> Gpu:
        """The GPU that a pipeline calls `name`."""
        memory = mebibytes(self.memory)
        return Gpu(name, memory, self.bf16, self.bf16, self.fp32, self.bandwidth, "the pipeline's gpus")


class Storage(Schema):
    """Where a folder that jobs see comes from, for each backend the pipeline is to run on."""

    path: MountPath | None = None
    """Folder of this machine, or of every node of a Slurm cluster; by default the path that jobs see it at. Another one
    needs a container."""
    claim: ObjectName | None = None
    """Name of a PersistentVolumeClaim, for Kubernetes."""
    volume: dict[str, Any] = Field(default={})
    """Or any other source of a volume, as a pod's spec has it: `{nfs: {server: files.example, path: /datasets}}`."""
    read_only: bool = False
    """Whether containers may only read it. Without a container the file system's own permissions hold."""


class Options(Schema):
    """Per backend; the other backends ignore them."""

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
    """What holds for every job that does not say otherwise."""

    strategy: Any = None
    """For tasks that train: ddp, fsdp, deepspeed, or `{name: deepspeed, zero_stage: 3}`."""
    seed: int | None = None
    """For tasks that train: of weights, order and augmentation."""
    retries: NonNegativeInt = 0
    """Counted failures after which a job is run again."""
    env: Environment = Field(default={})
    """Environment variables."""
    resources: ResourceRequest = ResourceRequest()
    """`nodes`, `processes`, `gpus` and `gpu_type` hold for tasks that run on several ranks."""
    image: Image | None = None
    """Container image that jobs run in."""
    storage: dict[MountPath, Storage] = Field(default={})
    """Path at which jobs see a folder -> where it comes from."""
    notify: list[Notification] = Field(default=[])
    """Who is told how each job ends, and how it goes."""
    options: Options = Options()
    """What only one backend understands."""


class Job(Schema):
    """One step of the pipeline; with a matrix, one for each combination of its values."""

    task: Task
    """What the job does."""
    needs: list[str] = Field(default=[])
    """Jobs that must be done first. Of a matrix those instances whose values on shared axes are equal."""
    matrix: dict[AxisName, Annotated[list[Any], Field(min_length=1)]] = Field(default={})
    """Axis name -> values: single ones, or mappings with a `name`. Without the combinations that `exclude` lists
    (mappings of some axes to their values), and with those of `include` (of every axis to a value)."""
    resources: ResourceRequest = ResourceRequest()
    """What it occupies."""
    image: Image | None = None
    """Container image it runs in, as registries name it, or the path of an image file. Slurm needs to be told how, by
    `options.slurm.container`. The local backend runs jobs as they are, without."""
    storage: dict[MountPath, Storage] = Field(default={})
    """Path at which it sees a folder -> where that comes from, beside those of `defaults`."""
    retries: NonNegativeInt | None = None
    """Counted failures after which it is run again."""
    env: Environment = Field(default={})
    """Environment variables, over those of `defaults`."""
    notify: list[Notification] | None = None
    """Who is told how it ends, and how it goes, instead of those of `defaults`."""
    options: Options = Options()
    """What only one backend understands, over that of `defaults`."""
    strategy: Any = None
    """As in `defaults`; for tasks that train."""
    config: dict[str, Any] = Field(default={})
    """The task's own keys (locat/config/), with references."""


class Pipeline(Schema):
    """A whole pipeline file."""

    name: PipelineName
    """What runs are called after."""
    description: str = ""
    """One line for people."""
    include: str | list[str] = Field(default=[])
    """Pipeline files, by paths from this one's folder, that this one is put over: mappings are merged, all else is
    replaced."""
    plugins: list[Annotated[str, Field(min_length=1)]] = Field(default=[])
    """Code of your own that brings tasks, datasets or models: .py files and folders, by paths from this file's folder,
    and installed packages. It is run where the pipeline is checked, and jobs import a copy of it."""
    secrets: list[VariableName] = Field(default=[])
    """Environment variables that must be set in the shell that submits. Jobs inherit them; they are written nowhere."""
    notify: list[Notification] = Field(default=[])
    """Who is told how the run as a whole ends; of `stalled` and `metric`, how any of its jobs goes."""
    tracking: TrackingSettings = TrackingSettings()
    """Where metrics go."""
    gpus: dict[GpuType, GpuFigures] = Field(default={})
    """Type of GPU, as in `gpu_type` -> what it has and can do, for types that estimates do not know."""
    defaults: Defaults = Defaults()
    """What holds for every job."""
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
