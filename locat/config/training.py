"""What every task that trains has: strategy, data, optimizer, schedule, checkpoints."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, model_validator

from locat.config.base import (
    Fraction,
    Int,
    JobConfig,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Schema,
)


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


class Data(Schema):
    """A dataset as FFCV .beton files, each with its manifest beside it."""

    train: Path
    """The training set's .beton file."""
    val: Path
    """The evaluation set's .beton file."""


class Optimizer(Schema):
    """AdamW or SGD with momentum (docs/method.md section 4)."""

    name: Literal["adamw", "sgd"] = "adamw"
    lr: PositiveFloat = 1e-3
    """Peak learning rate."""
    weight_decay: NonNegativeFloat = 0.05
    """Decay of matrices; biases, norms and position parameters are not decayed."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    """AdamW only."""
    momentum: Fraction = 0.9
    """SGD only."""
    clip_grad: NonNegativeFloat = 5.0
    """Gradient norm above which gradients are scaled down; 0 for never."""
    clip: Literal["global", "tensor"] = "global"
    """Whose norm: that of all gradients together, or of each parameter's by itself (DINO)."""


class Schedule(Schema):
    """The learning rate per update: from `min_lr` linearly to the peak over the warm-up, then back to `min_lr`."""

    warmup_epochs: NonNegativeFloat = 20
    min_lr: NonNegativeFloat = 1e-7


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


INDECISIVE = frozenset({"loader_threads", "log_every", "checkpoints", "skip_nonfinite", "step_timeout"})
"""Keys that may change from one attempt to the next."""


class TrainingConfig(JobConfig):
    """What every task that trains has."""

    distributed: ClassVar[bool] = True
    evaluated: ClassVar[tuple[str, ...]] = ()
    """What an evaluation finds."""

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

    def decisive(self) -> dict[str, Any]:
        """What a checkpoint must have been made with to be gone on from: all that decides what is computed."""
        return {key: value for key, value in self.recorded().items() if key not in INDECISIVE}

    @model_validator(mode="after")
    def _best_is_evaluated(self) -> "TrainingConfig":
        best = self.checkpoints.best
        if best is not None and best not in self.evaluated:
            raise ValueError(f"checkpoints.best: {self.task} evaluates {', '.join(self.evaluated)}, not {best}")
        return self
