"""The types that every job config is made of."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Strict: a number is a number, not "8" or true.
Int = Annotated[int, Field(strict=True)]
PositiveInt = Annotated[Int, Field(gt=0)]
NonNegativeInt = Annotated[Int, Field(ge=0)]
Float = Annotated[float, Field(strict=True)]
Fraction = Annotated[Float, Field(ge=0, le=1)]
PositiveFraction = Annotated[Float, Field(gt=0, le=1)]
PositiveFloat = Annotated[Float, Field(gt=0)]
NonNegativeFloat = Annotated[Float, Field(ge=0)]


class Schema(BaseModel):
    """Base of every config: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Tracking(Schema):
    """Where MLflow keeps this job's run."""

    uri: str
    """MLflow tracking URI."""
    experiment: str
    """Experiment name."""
    parent: Path
    """Folder of the pipeline run; holds the parent run's MLflow id."""
    run_tags: dict[str, str] = {}
    """Tags of the pipeline run's MLflow run and of all its jobs'."""
    tags: dict[str, str] = {}
    """Tags of this job's MLflow run."""

    @model_validator(mode="after")
    def _no_credentials(self) -> "Tracking":
        if "@" in self.uri.split("://", 1)[-1].split("/", 1)[0]:
            raise ValueError("holds credentials; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead")
        return self


class JobConfig(Schema):
    """What every job has."""

    outputs: ClassVar[dict[str, str]] = {}
    """Output name -> path below outputs/; `${jobs.NAME.outputs.KEY}` in a pipeline."""
    artifacts: ClassVar[str] = "**/*"
    """Glob below outputs/: the files that MLflow keeps a copy of."""
    distributed: ClassVar[bool] = False
    """Whether the task runs on several ranks."""

    task: str
    tracking: Tracking | None = None
    """None: metrics stay in metrics.jsonl."""

    def recorded(self) -> dict[str, Any]:
        """What decides the job's result, as plain values: what checkpoints and MLflow keep."""
        return self.model_dump(mode="json", exclude={"tracking"})
