"""The optimizers that every strategy can carry, the rest of timm's with the reason, and what is set of one."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from locat.config.base import Fraction, NonNegativeFloat, PositiveFloat, PositiveFraction, Schema
from locat.contract import plugins
from locat.contract.plugins import Registry
from locat.contract.problems import did_you_mean

OPTIMIZERS = {
    "adabelief": 2,
    "adadelta": 2,
    "adam": 2,
    "adamax": 2,
    "adamc": 2,
    "adamw": 2,
    "adamwlegacy": 2,
    "laprop": 2,
    "lapropc": 2,
    "lion": 1,
    "lionc": 1,
    "momentum": 1,
    "nadamc": 2,
    "nadamw": 2,
    "nesterov": 1,
    "nesterovw": 1,
    "radabelief": 2,
    "radam": 2,
    "radamlegacy": 2,
    "radamw": 2,
    "rmsprop": 2,
    "sgd": 1,
    "sgdc": 1,
    "sgdw": 1,
}
"""Name -> numbers that it keeps of each weight. Each weight moves by itself, and what is kept begins at zero."""

_CUT = "looks at a whole matrix or its norm, and fsdp and deepspeed cut matrices into pieces"
_BEGINS = "keeps numbers that do not begin at zero, which layers that are frozen at first rely on"
_PACKAGE = "needs a package of CUDA programs that LocAt does not install"
_REASONS = {
    _CUT: """adafactor adafactorbv adafactorbvc adamp adamuon cadafactor cadafactorbv cadafactorbvc cadamc cadamp cadamw
    cadan cadanw cadopt cadoptc cadoptw clamb clambw claprop clion clionc cmars cnadamc cnadamw crmsproptf csgdc csgdp
    csgdw kron kronc kronw lamb lambc lambcd lambcw lambw larc lars mars muon nadamuon nlarc nlars nmuon novograd
    novogradc novogradw sgdp""",
    _BEGINS: "adopt adoptc adoptw madgrad madgradw nadam nadamlegacy rmsproptf rmsproptfc rmsproptfw",
    _PACKAGE: """bnbadam bnbadam8bit bnbadamw bnbadamw8bit bnbademamix bnbademamix8bit bnblion bnblion8bit bnbsgd
    bnbsgd8bit fusedadam fusedadamw fusedlamb fusednovograd fusedsgd""",
    "needs second derivatives, for which the strategies keep no graph": "adahessian",
    "counts updates for all weights together, of which some may have been frozen": "adan adanw",
    "is exchanged by deepspeed for one of its own making": "adagrad",
}
REFUSED = {name: reason for reason, names in _REASONS.items() for name in names.split()}
"""timm's other optimizers, and why not."""


OWN_COPIES = 2
"""Numbers of each weight that an optimizer of a plugin is taken to keep, for estimates."""
OTHERS = Registry(plugins.OPTIMIZERS, {}, plugins.function)
"""Those of plugins: functions that take groups of parameters (docs/extend/parts.md)."""


def known_optimizer(name: str) -> str:
    """`name`, if every strategy can carry it, or a plugin brings it; else ValueError with the reason."""
    if name in REFUSED:
        raise ValueError(f"{name} {REFUSED[name]}; use adamw, lion or another of docs/finetune.md")
    if name not in OPTIMIZERS and name not in OTHERS:
        near = did_you_mean(name, [*OPTIMIZERS, *OTHERS]) or "; docs/finetune.md lists them"
        raise ValueError(f"expected an optimizer of timm that every strategy can carry, got {name!r}{near}")
    return name


OptimizerName = Annotated[
    str, AfterValidator(known_optimizer), WithJsonSchema({"type": "string", "enum": list(OPTIMIZERS)})
]


class Optimizer(Schema):
    """AdamW, SGD with momentum, or another of timm's that treats every weight by itself (docs/finetune.md)."""

    name: OptimizerName = "adamw"
    """adamw, sgd (without Nesterov's step, which is `nesterov`), lion, nadamw, ...: docs/finetune.md lists them."""
    lr: PositiveFloat = 1e-3
    """Peak learning rate."""
    weight_decay: NonNegativeFloat = 0.05
    """Decay of matrices; biases, norms and position parameters are not decayed."""
    betas: Annotated[tuple[Fraction, Fraction] | None, Field(validate_default=True)] = None
    """Of optimizers that have two; by default their own, of AdamW 0.9 and 0.999."""
    momentum: Fraction = 0.9
    """Of sgd and other optimizers that have one."""
    clip_grad: NonNegativeFloat = 5.0
    """Gradient norm above which gradients are scaled down; 0 for never."""
    clip: Literal["global", "tensor"] = "global"
    """Whose norm: that of all gradients together, or of each parameter's by itself (DINO)."""
    layer_decay: PositiveFraction = 1.0
    """Fine-tuning: the head has the whole rate, and each layer this part of the rate of the one above it; 1 for all the
    same. Layers are timm's: patches and positions, each block, the head."""

    @field_validator("betas")
    @classmethod
    def _as_they_count(cls, betas: tuple[float, float] | None, known: ValidationInfo) -> tuple[float, float] | None:
        """The same whether written out or not: older versions wrote AdamW's into every checkpoint, of sgd as well."""
        name = known.data.get("name")
        if name == "sgd":
            return None
        return betas or ((0.9, 0.999) if name == "adamw" else None)

    @property
    def state_copies(self) -> int:
        """Copies of the weights in a checkpoint: the weights themselves and what the optimizer keeps of each."""
        return 1 + OPTIMIZERS.get(self.name, OWN_COPIES)
