"""What every task that trains has: strategy, data, optimizer, schedule, checkpoints."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from locat.config.attach import ATTACHED, Attach, refuse_by_name
from locat.config.base import (
    Int,
    JobConfig,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveFraction,
    PositiveInt,
    Schema,
)
from locat.config.branch import Branch
from locat.config.optimizer import Optimizer
from locat.config.weights import InitField


class Strategy(Schema):
    """How one model is trained by many ranks. In YAML a bare name, or `{name: deepspeed, zero_stage: 3}`."""

    name: Literal["ddp", "fsdp", "deepspeed"] = "fsdp"
    """ddp (replicated), fsdp (FSDP2, sharded) or deepspeed (ZeRO)."""
    zero_stage: Literal[1, 2, 3] = 1
    """DeepSpeed only: what is sharded; 1 optimizer, 2 and gradients, 3 and parameters."""
    offload: bool = False
    """DeepSpeed only: the optimizer, and with stage 3 the parameters, live in host memory."""
    replicas: PositiveInt = 1
    """FSDP only: copies of the model, each sharded over as many ranks (HSDP); one a node is usual."""

    @model_validator(mode="after")
    def _fits_its_name(self) -> "Strategy":
        if self.name != "deepspeed" and (self.zero_stage != 1 or self.offload):
            raise ValueError(f"zero_stage and offload are for deepspeed, not for {self.name}")
        if self.name != "fsdp" and self.replicas != 1:
            raise ValueError(f"replicas are for fsdp, not for {self.name}")
        return self


def _strategy_from_name(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


StrategyField = Annotated[Strategy, BeforeValidator(_strategy_from_name)]


class Model(Schema):
    """A registered timm model; `timm.create_model(name, **args)`."""

    name: str
    """Registered name, such as locatvit_tiny or vit_tiny_patch16_224."""
    args: dict[str, Any] = {}
    """Keyword arguments as timm takes them (img_size, patch_size, embed_dim, drop_path_rate, ...)."""
    init: InitField | None = None
    """Weights to begin with; by default new ones, drawn by `seed`."""
    attach: Attach | None = None
    """LocAt, in a model that has none; by default the model as it is registered."""

    def with_args(self, args: dict[str, Any]) -> "Model":
        """This model with other `args`."""
        return self.model_copy(update={"args": args})

    @field_validator("name")
    @classmethod
    def _is_what_the_user_names(cls, name: str) -> str:
        if name.partition(".")[0] == ATTACHED:
            raise ValueError(f"{ATTACHED} is for timm; name the plain model here, and write `attach` beside it")
        return name

    @field_validator("attach")
    @classmethod
    def _has_place_for_locat(cls, attach: Attach | None, others: ValidationInfo) -> Attach | None:
        if attach is not None:
            refuse_by_name(others.data.get("name", ""))
        return attach

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A config says nothing of what is not asked for, so that it equals those of earlier checkpoints."""
        values: dict[str, Any] = serialize(self)
        return {key: value for key, value in values.items() if key not in ("init", "attach") or value is not None}


class Data(Schema):
    """A dataset as FFCV .beton files, each with its manifest beside it."""

    train: Path
    """The training set's .beton file."""
    val: Path
    """The evaluation set's .beton file."""


ScheduleName = Literal["triangular", "cosine", "constant", "step"]


class Schedule(Schema):
    """The learning rate per update: a warm-up to the peak `optimizer.lr`, then what `name` says (docs/finetune.md)."""

    name: ScheduleName = "triangular"
    """triangular: linearly back to `min_lr`. cosine: by half a cosine to `min_lr`. constant: the peak. step: times
    `step_factor` every `step_epochs`."""
    warmup_epochs: NonNegativeFloat = 20
    """Epochs until the peak, linearly from `min_lr`; of cosine from 0."""
    warmup_steps: NonNegativeInt | None = None
    """The same in updates; it then counts instead of `warmup_epochs`."""
    min_lr: NonNegativeFloat = 1e-7
    """Where the warm-up begins, and below which no schedule falls."""
    step_epochs: PositiveFloat | None = None
    """step only: epochs between two falls, from the end of the warm-up on."""
    step_factor: PositiveFraction = 0.1
    """step only: what is left of the rate after a fall."""

    @model_validator(mode="after")
    def _has_its_steps(self) -> "Schedule":
        if self.name == "step" and self.step_epochs is None:
            raise ValueError("step needs step_epochs, the epochs between two falls of the learning rate")
        if self.name != "step" and (self.step_epochs is not None or self.step_factor != 0.1):
            raise ValueError(f"step_epochs and step_factor are for step, not for {self.name}")
        return self


class Freeze(Schema):
    """Parameters that stay as they are for a while, to the bit: neither gradient nor decay moves them."""

    patterns: Annotated[list[str], Field(min_length=1)]
    """Names in the model as shells match them, such as `patch_embed.*` or `blocks.[0-5].*`; each must match some."""
    epochs: PositiveInt | None = None
    """Of the whole training how many from its start; by default all."""


class EarlyStop(Schema):
    """End the training, as done, once evaluations find nothing better any more."""

    metric: str
    """Evaluation metric (top1, miou, ...)."""
    patience: PositiveInt
    """Evaluations in a row without anything better, after which training ends."""
    min_delta: NonNegativeFloat = 0.0
    """By how much more than this a value must be better than the best so far to count."""
    best_is: Literal["largest", "smallest"] = "largest"
    """Which value of `metric` is the best."""


class Checkpoints(Schema):
    """When the whole training state is saved, and how much of it is kept."""

    every_steps: PositiveInt = 500
    """Optimizer steps between two checkpoints; there is one at the end as well."""
    keep: PositiveInt = 2
    """How many complete checkpoints stay, the newest ones."""
    best: str | None = None
    """Evaluation metric (top1, miou, ...) whose best checkpoint stays as well; there is then one at each evaluation."""
    best_is: Literal["largest", "smallest"] = "largest"
    """Which value of `best` is the best."""
    export: Literal["last", "best"] = "last"
    """Whose weights the job leaves: those of the last update, or of the checkpoint that `best` keeps."""
    after: Literal["best", "last", "none"] | None = None
    """What stays of them once the job is done: the best (the last one without `best`), the last one, or none, besides
    those that jobs of other runs need (docs/clean.md); by default all that are kept."""

    @model_validator(mode="after")
    def _best_is_kept(self) -> "Checkpoints":
        if self.export == "best" and self.best is None:
            raise ValueError("export: best needs `best`, the evaluation metric by which a checkpoint is the best")
        return self

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A config says nothing of what is not asked for, so that it is the same as an earlier version's."""
        values: dict[str, Any] = serialize(self)
        return {key: value for key, value in values.items() if key != "after" or value is not None}

    @property
    def left(self) -> int:
        """How many stay once the job is done, the best one not counted where others do."""
        return {None: self.keep, "none": 0}.get(self.after, 1)


INDECISIVE = frozenset({"branch", "loader_threads", "log_every", "checkpoints", "skip_nonfinite", "step_timeout"})
"""Keys that may change from one attempt to the next."""


class TrainingConfig(JobConfig):
    """What every task that trains has."""

    distributed: ClassVar[bool] = True
    evaluated: ClassVar[tuple[str, ...]] = ()
    """What an evaluation finds."""
    frozen_backbone: ClassVar[bool] = False
    """Whether the task trains a head alone, on features of a backbone that stays as it is without `backbone_lr`."""
    lasting: ClassVar[dict[str, str]] = {
        "seed": "the order of the images and all that is drawn at random go on",
        "strategy": "each strategy has checkpoints of its own",
        "precision": "fp16 scales the loss, and keeps the scale",
        "optimizer.name": "what one optimizer keeps of each weight means nothing to another",
        "optimizer.momentum": "without momentum nothing is kept of it",
        "optimizer.layer_decay": "DeepSpeed cuts its pieces by the layers' rates",
    }
    """Keys that stay as they are where a job goes on from another run's checkpoint, each with the reason."""
    settled: ClassVar[dict[str, str]] = {**JobConfig.settled, "branch": "by `submit --from`"}

    seed: Int = 0
    """Of weights, order and augmentation."""
    strategy: StrategyField = Strategy()
    data: Data
    batch_size: PositiveInt
    """Images of one optimizer step over all ranks."""
    micro_batch_size: PositiveInt | None = None
    """Images of one forward pass of one rank, over which gradients accumulate; by default a rank's whole share."""
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    """Of autocast; weights and optimizer stay float32. fp16 scales the loss."""
    compile: bool = False
    """torch.compile of every block."""
    activation_checkpointing: bool = False
    """Compute the activations of every block again in the backward pass: less memory, a third more work."""
    loader_threads: PositiveInt = 1
    """FFCV decoding threads of one rank."""
    log_every: PositiveInt = 10
    """Optimizer steps between two metric records."""
    skip_nonfinite: NonNegativeInt = 0
    """Updates with a loss or gradient that is not finite which may be left out; one more stops the job, 0 the first."""
    step_timeout: PositiveFloat = 1800.0
    """Seconds that one step may take, compilation included, before all stacks are logged and the job starts again."""
    checkpoints: Checkpoints = Checkpoints()
    optimizer: Optimizer = Optimizer()
    early_stop: EarlyStop | None = None
    """None: all of the training."""
    branch: Branch | None = None
    """What `submit --from` names; None: the job begins anew."""

    def recorded(self) -> dict[str, Any]:
        """Nothing is said of a branch where there is none."""
        return {key: value for key, value in super().recorded().items() if key != "branch" or value is not None}

    def decisive(self) -> dict[str, Any]:
        """What a checkpoint must have been made with to be gone on from: all that decides what is computed."""
        return {key: value for key, value in self.recorded().items() if key not in INDECISIVE}

    @classmethod
    def as_today(cls, recorded: dict[str, Any]) -> dict[str, Any]:
        """What `decisive` of an older version means to this one: a key that it did not know has its default."""
        try:
            return cls.model_validate(recorded).decisive()
        except ValidationError:
            return recorded

    @model_validator(mode="after")
    def _best_is_evaluated(self) -> "TrainingConfig":
        best = self.checkpoints.best
        if best is not None and best not in self.evaluated:
            raise ValueError(f"checkpoints.best: {self.task} evaluates {', '.join(self.evaluated)}, not {best}")
        return self

    @field_validator("optimizer")
    @classmethod
    def _layers_are_trained(cls, optimizer: Optimizer, info: ValidationInfo) -> Optimizer:
        if cls.frozen_backbone and not info.data.get("backbone_lr") and optimizer.layer_decay != 1:
            raise ValueError("layer_decay: the backbone is frozen, and its head has one rate; leave layer_decay out")
        return optimizer

    @field_validator("early_stop")
    @classmethod
    def _stops_by_what_is_evaluated(cls, early_stop: EarlyStop | None) -> EarlyStop | None:
        if early_stop is not None and early_stop.metric not in cls.evaluated:
            found = ", ".join(cls.evaluated) or "nothing"
            raise ValueError(f"metric: the task evaluates {found}, not {early_stop.metric}")
        return early_stop
