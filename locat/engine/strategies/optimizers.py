"""The optimizers, and which parameters they decay."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.sgd import sgd

from locat.config import Optimizer
from locat.engine.strategies.base import local


def make_optimizer(config: Optimizer, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer that `config` names, over the trainable parameters of `model`.

    Fused: then it leaves everything as it is where its attribute `found_inf` is 1.
    """
    groups = decayed_groups(model, config.weight_decay)
    if config.name == "adamw":
        return AdamW(groups, lr=config.lr, betas=config.betas, fused=True)
    return ShardedSGD(groups, lr=config.lr, momentum=config.momentum)


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


def decayed_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two parameter groups: what decays, and biases, norms and what the model's `no_weight_decay()` names."""
    exempt: Iterable[str] = getattr(model, "no_weight_decay", tuple)()
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (plain if parameter.ndim <= 1 or name in exempt else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": weight_decay, "decays": True},
        {"params": plain, "weight_decay": 0.0, "decays": False},
    ]
    return [group for group in groups if group["params"]]


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
        for value in state.values():
            value.zero_()
