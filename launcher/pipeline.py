"""The pipeline language: its schema, and `load`, which reads a file into it.

A `Pipeline` is valid on its own terms: keys and types, tasks, `needs`, no cycle, no secrets.
Whether each job's config fits its task is known only once matrices and references are followed:
that is the compiler's part.
"""

import graphlib
import heapq
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from launcher import includes
from launcher import overrides as command_line
from launcher.errors import KeyPath, PipelineError, known_words
from launcher.options import Duration, MountPath, Options, Schema, Size, named
from launcher.schema_errors import explain
from launcher.storage import Image, Storage
from launcher.yaml_source import Source
from locat.config import TASKS, PositiveInt


def _known_task(value: str) -> str:
    if value not in TASKS:
        raise PydanticCustomError("unknown_task", "unknown task")
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
Task = Annotated[str, AfterValidator(_known_task), WithJsonSchema({"enum": list(TASKS)})]
Environment = dict[VariableName, Annotated[str, BeforeValidator(_number_as_text)]]
NonNegativeInt = Annotated[int, Field(ge=0)]
GpuType = Annotated[str, named("a type of GPU: letters, digits and '_.-'", "[A-Za-z0-9][A-Za-z0-9_.-]*", 63)]


class TrackingSettings(Schema):
    """Where MLflow keeps the run."""

    uri: str | None = None
    """MLflow tracking URI; by default a SQLite store in the folder of runs."""
    experiment: Annotated[str, Field(min_length=1)] | None = None
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
    """As the scheduler calls it, such as `a100`. The local backend takes any GPU."""
    cpus: PositiveInt | None = None
    """Cores per node; one a rank by default."""
    memory: Size | None = None
    """Per node, such as `64G`; by default what the scheduler gives. Locally not limited."""
    time: Duration | None = None
    """The longest an attempt may take, such as `12h`; then it checkpoints and goes on in another."""


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
    secrets: list[VariableName] = Field(default=[])
    """Environment variables that must be set in the shell that submits. Jobs inherit them; they are written nowhere."""
    tracking: TrackingSettings = TrackingSettings()
    """Where metrics go."""
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


def load(path: Path, overrides: Sequence[str] = ()) -> Pipeline:
    """The pipeline in the file at `path`, with each `KEY=VALUE` of `--set` put over it.

    Raises:
        PipelineError: the file cannot be read, or what it says is not a valid pipeline.
    """
    return validate(command_line.apply(includes.read(path), overrides))


def validate(source: Source) -> Pipeline:
    """The pipeline that `source` describes.

    Raises:
        PipelineError: it is not valid; lists every problem.
    """
    try:
        pipeline = Pipeline.model_validate(source.values)
    except ValidationError as error:
        raise PipelineError(source.problem(path, text) for path, text in explain(error, Pipeline)) from None
    pipeline._source = source
    problems = [source.problem(*found) for check in (_unknown_needs, _secrets) for found in check(pipeline)]
    if problems:
        raise PipelineError(problems)
    try:
        pipeline.in_order()
    except graphlib.CycleError as error:
        # graphlib lists each job before one that needs it.
        cycle: list[str] = error.args[1][::-1]
        path = ("jobs", cycle[0], "needs", pipeline.jobs[cycle[0]].needs.index(cycle[1]))
        message = f"a cycle: {' -> '.join(cycle)}; remove one of these needs"
        raise PipelineError([source.problem(path, message)]) from None
    return pipeline


def _unknown_needs(pipeline: Pipeline) -> Iterator[tuple[KeyPath, str]]:
    for name, job in pipeline.jobs.items():
        for position, need in enumerate(job.needs):
            if need not in pipeline.jobs:
                yield ("jobs", name, "needs", position), f"no job {need!r}{known_words(need, pipeline.jobs)}"


_SECRET_NAME = re.compile(r"(^|_)[A-Z0-9]*(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|KEY)S?(_|$)")
_CREDENTIALS = re.compile(r"://[^/\s]*:[^/\s]*@")


def _secrets(pipeline: Pipeline) -> Iterator[tuple[KeyPath, str]]:
    """A pipeline is committed and copied into run folders: no place for secrets. Their values are not shown."""
    environments: dict[KeyPath, Environment] = {("defaults", "env"): pipeline.defaults.env}
    environments.update({("jobs", name, "env"): job.env for name, job in pipeline.jobs.items()})
    for path, environment in environments.items():
        for name, value in environment.items():
            if _SECRET_NAME.search(name.upper()) or _CREDENTIALS.search(value):
                remedy = f"list {name} under `secrets` and export it in the shell that submits"
                yield (*path, name), f"looks like a secret, which a pipeline must not hold; {remedy}"
