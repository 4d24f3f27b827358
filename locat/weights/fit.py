"""Fitting weights to a model: names and grids as timm converts them, and what remains on either side."""

# mypy: warn-return-any=False

import sys
from collections.abc import Callable, Iterable, Set
from typing import Any, NamedTuple

from timm.models._input import get_model_args
from torch import Tensor, nn

from locat.contract.errors import WeightsError
from locat.weights.files import Weights

WRAPPER = "backbone."
"""What DINO's students and teachers, and segmentation models, call the part that is wanted."""
GATE = "attn_pool.gate"
"""Of a model that PRR was attached to: without it, it is another model."""
SHOWN = 12
"""Names in an error's one line; `Fit` has all."""


class Fit(NamedTuple):
    """What became of a model's tensors, and of those that it was given."""

    loaded: list[str]
    missing: list[str]
    """Of the model: they keep the values they had."""
    unused: list[str]
    """Of the weights."""
    misshapen: dict[str, str]
    """Name -> both shapes, of what is no classifier."""
    refused: list[str]
    """Of `missing` and `unused`, what a model cannot do without, or would not be the same without."""


def fit(model: nn.Module, weights: Weights, attached: Set[str] = frozenset()) -> Fit:
    """Load `weights` into `model`: positions and Swin's tables are resampled to its grid, by timm's own functions.

    A classifier of another number of classes stays new, and so do the parameters called `attached` where the weights
    have none. Parts that the model does not have at all, such as a projector, are not used. Raises WeightsError where
    timm cannot convert the weights for this model.
    """
    outside, tensors = _unwrapped(model, weights.tensors)
    try:
        converted = filter_of(model)(tensors, model)
    except Exception as error:  # it relies on the names and shapes of its own architecture
        raise WeightsError(f"{weights.origin} does not fit {_name(model)}: {type(error).__name__}: {error}") from error
    own = model.state_dict()
    heads = _classifiers(model)
    others = {name for name in converted.keys() & own.keys() if converted[name].shape != own[name].shape}
    misshapen = {
        name: f"{name} {list(converted[name].shape)} for {list(own[name].shape)}"
        for name in sorted(others)
        if not name.startswith(heads)
    }
    result = model.load_state_dict({name: converted[name] for name in converted if name not in others}, strict=False)
    missing = [name for name in result.missing_keys if name not in misshapen]
    inside = [*result.unexpected_keys, *(name for name in others if name not in misshapen)]
    parts = {name.partition(".")[0] for name in own if name not in attached}
    refused = [name for name in missing if not name.startswith(heads) and name not in attached]
    refused += [name for name in inside if name == GATE or _belongs(name, parts, heads)]
    kept = {*missing, *misshapen}
    loaded = [name for name in own if name not in kept]
    return Fit(loaded, missing, sorted([*inside, *outside]), misshapen, refused)


def refuse(found: Fit, model: nn.Module, origin: str, strict: bool = False) -> None:
    """Raise WeightsError where the weights do not fit; if `strict`, where anything at all is left on either side."""
    if not (found.misshapen or found.refused or (strict and (found.missing or found.unused))):
        return
    parts = {
        "it lacks": found.missing,
        "the model has no place for": found.unused,
        "shapes differ of": list(found.misshapen.values()),
    }
    told = "; ".join(f"{what} {_shown(names)}" for what, names in parts.items() if names)
    raise WeightsError(f"{origin} does not fit {_name(model)}: {told}")


def filter_of(model: nn.Module) -> Callable[[dict[str, Tensor], nn.Module], dict[str, Tensor]]:
    """The function by which timm converts weights for models of this class, which stands beside the class."""
    for kind in type(model).__mro__:
        found = getattr(sys.modules[kind.__module__], "checkpoint_filter_fn", None)
        if found is not None:
            return found
    return lambda tensors, _: tensors


def _unwrapped(model: nn.Module, tensors: dict[str, Tensor]) -> tuple[list[str], dict[str, Tensor]]:
    """Names of what lies beside the wanted part, and that part by its own names."""
    if hasattr(model, "backbone") or not any(name.startswith(WRAPPER) for name in tensors):
        return [], dict(tensors)
    outside = [name for name in tensors if not name.startswith(WRAPPER)]
    return outside, {name.removeprefix(WRAPPER): value for name, value in tensors.items() if name.startswith(WRAPPER)}


def _belongs(name: str, parts: Set[str], heads: tuple[str, ...]) -> bool:
    """Whether a tensor without a place is of a part that the model has, and of no classifier."""
    return not name.startswith(heads) and name.partition(".")[0] in parts


def _classifiers(model: Any) -> tuple[str, ...]:
    """What the names of the classifier's parameters begin with."""
    named = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    return tuple(f"{name}." for name in ((named,) if isinstance(named, str) else named))


def _name(model: Any) -> str:
    """The name that a user gave it: of one with LocAt attached, that of the plain one."""
    base = get_model_args(model).get("base")
    return base or getattr(model, "pretrained_cfg", {}).get("architecture") or type(model).__name__


def _shown(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if names[SHOWN:] else "")
