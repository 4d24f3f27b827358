"""The schema of every job config: typed, documented, free of torch.

`load_job` reads `JOB_DIR/config.yaml`; the launcher validates the same models before
anything is submitted. `TASKS` maps a task's name to its config class, and each class
names the files it leaves under `outputs/`, so that paths are known at compile time.
"""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from locat.errors import ConfigError

# Strict: a number is a number, not "8" or true.
Int = Annotated[int, Field(strict=True)]
PositiveInt = Annotated[Int, Field(gt=0)]
NonNegativeInt = Annotated[Int, Field(ge=0)]
Float = Annotated[float, Field(strict=True)]
Fraction = Annotated[Float, Field(ge=0, le=1)]
PositiveFloat = Annotated[Float, Field(gt=0)]
NonNegativeFloat = Annotated[Float, Field(ge=0)]


class Schema(BaseModel):
    """Base of every config: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Strategy(Schema):
    """How one model is trained by many ranks. In YAML a bare name, or `{name: deepspeed, zero_stage: 3}`."""

    name: Literal["ddp", "fsdp", "deepspeed"] = "fsdp"
    """ddp (replicated), fsdp (FSDP2, sharded) or deepspeed (ZeRO)."""
    zero_stage: Literal[1, 2, 3] = 1
    """DeepSpeed only: what is sharded; 1 optimizer, 2 and gradients, 3 and parameters."""


def _strategy_from_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


StrategyField = Annotated[Strategy, BeforeValidator(_strategy_from_name)]


class Model(Schema):
    """A registered timm model; `timm.create_model(name, **args)`."""

    name: str
    """Registered name, such as locatvit_tiny or vit_tiny_patch16_224."""
    args: dict[str, Any] = {}
    """Keyword arguments as timm takes them (img_size, patch_size, embed_dim, ...)."""


class Data(Schema):
    """A dataset as FFCV .beton files, each with its manifest beside it."""

    train: Path
    """The training set's .beton file."""
    val: Path
    """The evaluation set's .beton file."""


class Optimizer(Schema):
    """AdamW (method.md section 4)."""

    lr: PositiveFloat = 1e-3
    """Peak learning rate."""
    weight_decay: NonNegativeFloat = 0.05
    """Decay of matrices; biases and norms are not decayed."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    clip_grad: NonNegativeFloat = 5.0
    """Global gradient norm above which gradients are scaled down; 0 for never."""


class Schedule(Schema):
    """Triangular, per update: linear from `min_lr` over the warm-up to the peak, linear back to `min_lr`."""

    warmup_epochs: NonNegativeFloat = 20
    min_lr: NonNegativeFloat = 1e-7


class Checkpoints(Schema):
    """When the whole training state is saved, and how much of it is kept."""

    every_steps: PositiveInt = 500
    """Optimizer steps between two checkpoints; there is one at the end as well."""
    keep: PositiveInt = 2
    """How many complete checkpoints stay."""


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


class DigitsScenes(Schema):
    """scikit-learn's handwritten digits composed into coloured scenes (locat/data/digits.py)."""

    name: Literal["digits"] = "digits"
    train_scenes: PositiveInt = 12_000
    val_scenes: PositiveInt = 2_000
    image_size: Annotated[Int, Field(ge=32, le=512)] = 64
    """Height and width of a scene in pixels."""
    seed: Int = 0
    """Which scenes are composed; the training seed does not change them."""


class ConvertConfig(JobConfig):
    """Write a dataset as .beton files with FFCV."""

    outputs: ClassVar[dict[str, str]] = {"train": "train.beton", "val": "val.beton"}
    artifacts: ClassVar[str] = "*.json"

    task: Literal["convert"]
    dataset: DigitsScenes = DigitsScenes()
    workers: PositiveInt = 1
    """Writer processes."""


class TrainingConfig(JobConfig):
    """What every task that trains has."""

    distributed: ClassVar[bool] = True

    seed: Int = 0
    """Of weights, order and augmentation."""
    strategy: StrategyField = Strategy()
    data: Data
    batch_size: PositiveInt
    """Images of one optimizer step over all ranks."""
    loader_threads: PositiveInt = 1
    """FFCV decoding threads of one rank."""
    log_every: PositiveInt = 10
    """Optimizer steps between two metric records."""
    checkpoints: Checkpoints = Checkpoints()
    optimizer: Optimizer = Optimizer()


class SupervisedConfig(TrainingConfig):
    """Classify images (method.md section 4)."""

    outputs: ClassVar[dict[str, str]] = {"model": "", "metrics": "metrics.json"}

    task: Literal["supervised"]
    model: Model
    epochs: PositiveInt
    schedule: Schedule = Schedule()
    label_smoothing: Fraction = 0.1
    shift: NonNegativeInt = 0
    """Augmentation: pixels by which an image is shifted at most along each side."""


class SegmentConfig(TrainingConfig):
    """Train a small head on a frozen backbone's patches (method.md section 5)."""

    outputs: ClassVar[dict[str, str]] = {"head": "head.safetensors", "metrics": "metrics.json"}

    task: Literal["segment"]
    backbone: Path
    """Folder with model.safetensors and config.json, as a pretraining job's outputs."""
    iterations: PositiveInt
    optimizer: Optimizer = Optimizer(lr=1e-3, weight_decay=0.01, clip_grad=0)
    hidden_dim: PositiveInt = 512
    """Channels between the head's two 1x1 convolutions."""


class CompareConfig(JobConfig):
    """Put the numbers of upstream jobs side by side, a row per model."""

    outputs: ClassVar[dict[str, str]] = {"table": "comparison.json"}

    task: Literal["compare"]
    results: list[Path]
    """metrics.json files of upstream jobs."""


TASKS: dict[str, type[JobConfig]] = {
    "convert": ConvertConfig,
    "supervised": SupervisedConfig,
    "segment": SegmentConfig,
    "compare": CompareConfig,
}


def load_job(path: Path) -> JobConfig:
    """Read and validate a job config.

    Raises:
        ConfigError: the file cannot be read, or is not a valid config; names file and keys.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from error
    task = values.get("task") if isinstance(values, dict) else None
    if task not in TASKS:
        raise ConfigError(f"{path}: task: {task!r} is none of {', '.join(TASKS)}")
    try:
        return TASKS[task].model_validate(values)
    except ValidationError as error:
        lines = (f"{path}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError("\n".join(lines)) from error
