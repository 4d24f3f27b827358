"""The optimizers, over groups of parameters that decay, move and are frozen alike."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import timm.optim
import torch
from timm.models import group_parameters
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.sgd import sgd

from locat.config import Optimizer
from locat.config.optimizer import OPTIMIZERS, OTHERS
from locat.contract.errors import ConfigError
from locat.engine.strategies.base import FrozenUntil, local, never_frozen


def make_optimizer(
    config: Optimizer, model: nn.Module, frozen_until: FrozenUntil = never_frozen
) -> torch.optim.Optimizer:
    """The optimizer that `config` names, over the trainable parameters of `model`.

    It leaves everything as it is where its attribute `found_inf` is 1: AdamW and SGD on the device, for they are fused;
    timm's ask the device at every step.
    """
    groups = parameter_groups(model, config, frozen_until)
    if config.name == "adamw":
        assert config.betas is not None, "the config has AdamW's own"
        return AdamW(groups, lr=config.lr, betas=config.betas, fused=True)
    if config.name == "sgd":
        return ShardedSGD(groups, lr=config.lr, momentum=config.momentum)
    if config.name not in OPTIMIZERS:
        made = _made(config, groups)
        heed_found_inf(made)
        return made
    known = timm.optim.get_optimizer_info(config.name)
    betas = {"betas": config.betas} if config.betas and known.has_betas and known.num_betas == 2 else {}
    optimizer: torch.optim.Optimizer = timm.optim.create_optimizer_v2(
        groups, config.name, lr=config.lr, weight_decay=config.weight_decay, momentum=config.momentum, **betas
    )
    heed_found_inf(optimizer)
    return optimizer


def _made(config: Optimizer, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimizer of a plugin."""
    betas = {"betas": config.betas} if config.betas else {}
    made = OTHERS[config.name](
        groups, lr=config.lr, weight_decay=config.weight_decay, momentum=config.momentum, **betas
    )
    if not isinstance(made, torch.optim.Optimizer):
        raise ConfigError(
            f"optimizer: {config.name} of a plugin made {type(made).__name__}, which is no optimizer of torch"
        )
    return made


class ShardedSGD(SGD):
    """torch's fused SGD, also of sharded parameters, of which torch's own dispatch knows nothing."""

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            moving = [parameter for parameter in group["params"] if parameter.grad is not None]
            momentum: list[torch.Tensor | None] = [None] * len(moving)
            if group["momentum"]:
                states = [self.state[parameter] for parameter in moving]
                for parameter, state in zip(moving, states, strict=True):
                    if "momentum_buffer" not in state:
                        state["momentum_buffer"] = torch.zeros_like(parameter)
                momentum = [local(state["momentum_buffer"]) for state in states]
            sgd(
                [local(parameter) for parameter in moving],
                [local(parameter.grad) for parameter in moving],
                momentum,
                fused=True,
                found_inf=getattr(self, "found_inf", None),
                **{key: group[key] for key in ("weight_decay", "momentum", "lr", "dampening", "nesterov", "maximize")},
            )


def heed_found_inf(optimizer: torch.optim.Optimizer) -> None:
    """Have an optimizer that is not fused leave out the steps of which its `found_inf` says so."""
    step: Callable[[], None] = optimizer.step

    def step_if_finite() -> None:
        found: torch.Tensor | None = optimizer.__dict__.pop("found_inf", None)  # torch's, not fused, refuse to see one
        if found is None or not found.item():
            step()

    optimizer.step = step_if_finite  # type: ignore[method-assign, assignment]


def parameter_groups(
    model: nn.Module, config: Optimizer, frozen_until: FrozenUntil = never_frozen
) -> list[dict[str, Any]]:
    """Groups of parameters: what decays first; then biases, norms and what the model's `no_weight_decay()` names.

    Beside weight_decay, each says whether it `decays`, its `lr_scale`, and until which update it is frozen. A model
    whose parts have rates of their own says so by `lr_scales()`.

    Raises:
        ConfigError: nothing is trained at first, or the model does not say what its layers are.
    """
    exempt: Iterable[str] = getattr(model, "no_weight_decay", tuple)()
    scales = layer_scales(model, config.layer_decay) if config.layer_decay != 1 else {}
    parts: Mapping[str, float] = getattr(model, "lr_scales", dict)()
    groups: dict[tuple[bool, int, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            scale = scales.get(name, 1.0) * parts.get(name, 1.0)
            key = parameter.ndim <= 1 or name in exempt, frozen_until(name), scale
            groups.setdefault(key, []).append(parameter)
    if all(until for _, until, _ in groups):
        raise ConfigError(
            "freeze.patterns: they match all parameters, which leaves nothing to train; leave the head out"
        )
    return [
        {
            "params": groups[plain, until, scale],
            "weight_decay": 0.0 if plain else config.weight_decay,
            "decays": not plain,
            "lr_scale": scale,
            "frozen_until": until,
        }
        for plain, until, scale in sorted(groups)
    ]


def layer_scales(model: nn.Module, decay: float) -> dict[str, float]:
    """By which the rate of each parameter that is trained is multiplied: 1 in the last layer, `decay` times less in
    each before it.

    The layers are timm's, of the model or of the one part of it that has some (DINO's backbone); all else is last.

    Raises:
        ConfigError: the model does not say what its layers are.
    """
    layered = [(name, part) for name, part in model.named_modules() if hasattr(part, "group_matcher")]
    if not layered:
        raise ConfigError(
            f"optimizer.layer_decay: {type(model).__name__} does not say what its layers are (timm's group_matcher); "
            "leave layer_decay out, or take a model of timm that does"
        )
    prefix, part = layered[0]
    layers = group_parameters(part, part.group_matcher(coarse=False), reverse=True)
    dot = f"{prefix}." if prefix else ""
    trained = {name for name, parameter in part.named_parameters() if parameter.requires_grad}
    last = max(layer for name, layer in layers.items() if name in trained)
    return {f"{dot}{name}": decay ** (last - layers[name]) for name in trained}


def start_state(optimizer: torch.optim.Optimizer) -> None:
    """Give every parameter the state that it would have at its first update: zeros.

    A checkpoint then holds all of it, also that of parameters which were frozen so far.
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    for state in optimizer.state.values():
        zero(state)


def zero(state: dict[str, Any]) -> None:
    """Make an optimizer's state of one parameter what it was before the first update."""
    for key, value in state.items():
        if torch.is_tensor(value):
            value.zero_()
        else:
            state[key] = type(value)(0)
