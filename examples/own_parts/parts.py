"""An augmentation, an optimizer and a segmentation head of one's own. What needs torch imports it inside."""

from collections.abc import Callable
from typing import Any

from locat.contract.plugins import augmentation, optimizer, segmentation_head


@augmentation
def fog(images: Any, draw: Callable[[int], Any]) -> Any:
    """Images uint8 (n, 3, H, W), every second one paler by up to a half."""
    chance, depth = draw(2).float().unbind(1)
    strength = (depth / 2 * (chance < 0.5)).to(images.device)[:, None, None, None]
    return (images * (1 - strength) + 255 * strength).to(images.dtype)


@optimizer
def sign_sgd(groups: list[dict[str, Any]], lr: float, momentum: float, **others: Any) -> Any:
    """Each weight moves by the rate, against the sign of its averaged gradient (Bernstein et al. 2018)."""
    import torch

    class SignSGD(torch.optim.Optimizer):
        @torch.no_grad()
        def step(self, closure: None = None) -> None:
            for group in self.param_groups:
                for weight in group["params"]:
                    if weight.grad is not None:
                        average = self.state[weight].setdefault("average", torch.zeros_like(weight))
                        average.lerp_(weight.grad, 1 - group["momentum"])
                        weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(average.sign() * group["lr"])

    return SignSGD(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0})


@segmentation_head
def neighbours(dims: list[int], classes: int, channels: int) -> Any:
    """A 3x3 convolution before the one that tells classes: (n, dim, h, w) -> (n, classes, h, w)."""
    from torch import nn

    (dim,) = dims
    return nn.Sequential(nn.Conv2d(dim, channels, 3, padding=1), nn.GELU(), nn.Conv2d(channels, classes, 1))
