"""The types that every job config is made of."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from locat.contract import tracking_uri

if TYPE_CHECKING:
    from locat.config.cost import Costs

# Strict: a number is a number, not "8" or true.
Int = Annotated[int, Field(strict=True)]
PositiveInt = Annotated[Int, Field(gt=0)]
NonNegativeInt = Annotated[Int, Field(ge=0)]
Float = Annotated[float, Field(strict=True)]
Fraction = Annotated[Float, Field(ge=0, le=1)]
PositiveFraction = Annotated[Float, Field(gt=0, le=1)]
PositiveFloat = Annotated[Float, Field(gt=0)]
NonNegativeFloat = Annotated[Float, Field(ge=0)]
Protocol = Literal["release", "exact"]
"""How a benchmark is measured: as the paper's released code does it, or as its definition has it (docs/fidelity.md)."""

TrackingUri = Annotated[str, AfterValidator(tracking_uri.checked)]
ExperimentName = Annotated[str, Field(min_length=1), AfterValidator(tracking_uri.checked_experiment)]


class Schema(BaseModel):
    """Base of every config: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Tracking(Schema):
    """Where MLflow keeps this job's run."""

    uri: TrackingUri
    """MLflow tracking URI."""
    experiment: ExperimentName
    """Experiment name."""
    parent: Path
    """Folder of the pipeline run; holds the parent run's MLflow id."""
    run_tags: dict[str, str] = {}
    """Tags of the pipeline run's MLflow run and of all its jobs'."""
    tags: dict[str, str] = {}
    """Tags of this job's MLflow run."""


class JobConfig(Schema):
    """What every job has, and all that must be known of its task before it runs."""

    entry: ClassVar[str] = ""
    """`module:function` that does the job, imported when it runs; it takes the config and the `JobFolder`."""
    outputs: ClassVar[dict[str, str]] = {}
    """Output name -> path below outputs/; `${jobs.NAME.outputs.KEY}` in a pipeline."""
    artifacts: ClassVar[str] = "**/*"
    """Glob below outputs/: the files that MLflow keeps a copy of."""
    distributed: ClassVar[bool] = False
    """Whether the task runs on several ranks."""
    references: ClassVar[dict[str, Literal["text", "none"]]] = {}
    """Key -> what references in it become, where that is not what they stand for: `text`, or `none`, which refuses
    them: the key says what must be known of all instances of a matrix. A job whose `outputs` are so may refer to its
    own."""
    headline: ClassVar[str] = ""
    """The metric that comparisons and reports show first; empty for a task that evaluates no model."""
    label: ClassVar[str] = ""
    """What reports call `headline`, such as `mIoU by retrieval`; by default metric and task."""
    usual: ClassVar[str] = ""
    """What the task's `variant` is by default, such as `frozen`; empty for a task with one way to evaluate a model."""
    trained: ClassVar[str] = ""
    """How reports say that a model comes from this task, such as `trained`; empty for a task that leaves no model."""
    settled: ClassVar[dict[str, str]] = dict.fromkeys(("task", "tracking"), "beside `config` or `jobs`")
    """Keys that are not set in a pipeline's `config`, each with where instead."""

    task: str
    tracking: Tracking | None = None
    """None: metrics stay in metrics.jsonl."""

    @property
    def variant(self) -> str:
        """Which of several ways to evaluate a model it is: numbers of two are never averaged, and tables name it."""
        return self.usual

    def recorded(self) -> dict[str, Any]:
        """What decides the job's result, as plain values: what checkpoints and MLflow keep."""
        return self.model_dump(mode="json", exclude={"tracking"})

    @classmethod
    def reading(cls, values: Mapping[str, Any]) -> "type[JobConfig]":
        """The class that validates `values`: this one, unless they name what only an installed package knows, or what
        a class variable is to say of this job alone. `values` are not validated yet, nor their references followed."""
        return cls

    @classmethod
    def with_installed(cls) -> "type[JobConfig]":
        """The class that knows everything that installed packages bring."""
        return cls

    @classmethod
    def column(cls, metric: str) -> str | None:
        """What reports call the column of a metric; None if they leave it out."""
        if metric != cls.headline:
            return None
        (task,) = get_args(cls.model_fields["task"].annotation)
        return cls.label or f"{metric} of {task}"

    def operations(self, costs: "Costs") -> float:
        """Floating-point operations of the whole job; NaN where they are not known."""
        return math.nan

    def storage(self, costs: "Costs") -> float:
        """Bytes that stay when the job is done, checkpoints included; NaN where they are not known."""
        return 0.0

    def images(self) -> tuple[float, float]:
        """Training and evaluation images of the dataset that the job leaves; NaN where they are not known."""
        return math.nan, math.nan
