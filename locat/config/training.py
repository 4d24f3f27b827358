"""Keys of every task that trains: strategy, data, optimizer, schedule, checkpoints."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

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
from locat.config.profile import Profile
from locat.config.sets import Sets, SetsField
from locat.config.weights import InitField

if TYPE_CHECKING:
    from locat.config.cost import Costs


class Strategy(Schema):
    """The way in which ranks train one model together. In YAML a bare name, or `{name: deepspeed, zero_stage: 3}`."""

    name: Literal["ddp", "fsdp", "deepspeed"] = "fsdp"
    """ddp (replicated), fsdp (FSDP2, sharded) or deepspeed (ZeRO)."""
    zero_stage: Literal[1, 2, 3] = 1
    """DeepSpeed only: 1 shards the optimizer, 2 also the gradients, 3 also the parameters."""
    offload: bool = False
    """DeepSpeed only: keep the optimizer, and with stage 3 the parameters, in host memory."""
    replicas: PositiveInt = 1
    """FSDP only: number of copies of the model, each sharded over an equal share of the ranks (HSDP); usually one per
    node."""

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
    """Keyword arguments for timm (img_size, patch_size, embed_dim, drop_path_rate, ...)."""
    init: InitField | None = None
    """Initial weights; by default random ones, drawn with `seed`."""
    attach: Attach | None = None
    """Adds LocAt to a model that has none; by default the model stays as registered."""

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
    """A dataset as `convert` writes it: FFCV's .beton files, or folders of such, each with its manifest beside it."""

    train: SetsField
    """Path of the training set's .beton file or folder; or a list of several, which are mixed (docs/datasets.md)."""
    val: SetsField
    """The same of the evaluation set; of several each image is looked at once."""

    @field_validator("val")
    @classmethod
    def _is_looked_at_once(cls, val: Sets) -> Sets:
        if any(one.weight != 1 for one in val):
            raise ValueError("weight: each evaluation image is looked at once; remove it")
        return val

    def images(self, costs: "Costs", split: Literal["train", "val"]) -> float:
        """Images that an epoch takes of a split; NaN where that is not known."""
        sets = self.train if split == "train" else self.val
        return sum(one.weight * costs.images(one.path, split) for one in sets)


ScheduleName = Literal["triangular", "cosine", "constant", "step"]


class Schedule(Schema):
    """Learning rate per update: a warm-up to the peak `optimizer.lr`, then the schedule `name` (docs/finetune.md)."""

    name: ScheduleName = "triangular"
    """triangular: linear decay to `min_lr`. cosine: half a cosine to `min_lr`. constant: the peak. step: multiplied by
    `step_factor` every `step_epochs`."""
    warmup_epochs: NonNegativeFloat = 20
    """Epochs of linear warm-up to the peak, from `min_lr`; with cosine from 0."""
    warmup_steps: NonNegativeInt | None = None
    """Length of the warm-up in updates; it replaces `warmup_epochs`."""
    min_lr: NonNegativeFloat = 1e-7
    """Learning rate at which the warm-up begins, and the lowest of every schedule."""
    step_epochs: PositiveFloat | None = None
    """step only: epochs between two steps, counted from the end of the warm-up."""
    step_factor: PositiveFraction = 0.1
    """step only: factor by which each step multiplies the rate."""

    @model_validator(mode="after")
    def _has_its_steps(self) -> "Schedule":
        if self.name == "step" and self.step_epochs is None:
            raise ValueError("step needs step_epochs, the epochs between two falls of the learning rate")
        if self.name != "step" and (self.step_epochs is not None or self.step_factor != 0.1):
            raise ValueError(f"step_epochs and step_factor are for step, not for {self.name}")
        return self


class Freeze(Schema):
    """Parameters that stay bit-identical for a while: neither gradients nor weight decay change them."""

    patterns: Annotated[list[str], Field(min_length=1)]
    """Shell patterns of parameter names, such as `patch_embed.*` or `blocks.[0-5].*`; each must match a parameter."""
    epochs: PositiveInt | None = None
    """Number of epochs from the start of the training; by default all."""


class EarlyStop(Schema):
    """End the training, as done, once evaluations no longer improve."""

    metric: str
    """Evaluation metric (top1, miou, ...)."""
    patience: PositiveInt
    """Number of evaluations in a row without improvement after which training ends."""
    min_delta: NonNegativeFloat = 0.0
    """A value counts as an improvement only if it beats the best so far by more than this."""
    best_is: Literal["largest", "smallest"] = "largest"
    """Whether the largest or the smallest `metric` is the best."""


class Checkpoints(Schema):
    """When to save the training state, and how many checkpoints to keep."""

    every_steps: PositiveInt = 500
    """Optimizer steps between two checkpoints; the end of the training saves one too."""
    keep: PositiveInt = 2
    """Number of newest checkpoints to keep."""
    best: str | None = None
    """Evaluation metric (top1, miou, ...) whose best checkpoint is kept too; each evaluation then saves a
    checkpoint."""
    best_is: Literal["largest", "smallest"] = "largest"
    """Whether the largest or the smallest value of `best` is the best."""
    export: Literal["last", "best"] = "last"
    """Weights that the job exports: those of the last update, or of the checkpoint that `best` keeps."""
    after: Literal["best", "last", "none"] | None = None
    """Checkpoints to keep once the job is done: the best (the last one without `best`), the last one, or none. Those
    that jobs of other runs need always stay (docs/clean.md). By default all kept checkpoints stay."""

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


INDECISIVE = frozenset(
    {"branch", "loader_threads", "log_every", "checkpoints", "skip_nonfinite", "step_timeout", "profile"}
)
"""Keys that may change from one attempt to the next."""


class TrainingConfig(JobConfig):
    """Keys of every task that trains."""

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
    """Seed of weights, order and augmentation."""
    strategy: StrategyField = Strategy()
    data: Data
    batch_size: PositiveInt
    """Images per optimizer step, over all ranks."""
    micro_batch_size: PositiveInt | None = None
    """Images per forward pass of one rank; gradients accumulate over several passes. By default a rank's whole
    share."""
    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    """Precision of autocast; weights and optimizer stay float32. fp16 scales the loss."""
    compile: bool = False
    """Compile every block with torch.compile."""
    activation_checkpointing: bool = False
    """Recompute the activations of every block in the backward pass: less memory, a third more computation."""
    loader_threads: PositiveInt = 1
    """Decoding threads per rank."""
    log_every: PositiveInt = 10
    """Optimizer steps between two metric records."""
    skip_nonfinite: NonNegativeInt = 0
    """Number of updates with a NaN or infinite loss or gradient to skip; the job stops at the next one."""
    step_timeout: PositiveFloat = 1800.0
    """Time limit of one step in seconds, including compilation; beyond it the job logs all stacks and is retried."""
    checkpoints: Checkpoints = Checkpoints()
    optimizer: Optimizer = Optimizer()
    early_stop: EarlyStop | None = None
    """By default the training runs to its end."""
    profile: Profile | None = None
    """Steps whose time and memory are recorded; by default none are."""
    branch: Branch | None = None
    """What `submit --from` names; None: the job begins anew."""

    def recorded(self) -> dict[str, Any]:
        """Nothing is said of a branch or a profile where there is none."""
        values = super().recorded().items()
        return {key: value for key, value in values if key not in ("branch", "profile") or value is not None}

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

    @model_validator(mode="after")
    def _profile_is_of_its_steps(self) -> "TrainingConfig":
        total = getattr(self, "iterations", None)  # of tasks that do not count epochs, whose steps the data decide
        if self.profile is not None and total is not None and self.profile.steps[1] > total:
            raise ValueError(f"profile.steps: {self.profile.steps[1]}, but there are {total} iterations")
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
