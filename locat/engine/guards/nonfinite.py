"""Keeps numbers that are not finite away from the weights, without asking the device at every step.

Whether an update is applied is decided on the device, by the norm of all gradients: fused optimizers leave weights
and moments alone where `found_inf` is 1. The host looks only when it reads other numbers anyway. Until then nothing
must move on from the state before the update that was one too many, so from that one on every update is left out.
"""

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from locat.contract.errors import JobError


class NotFiniteError(JobError):
    """Loss or gradients were not finite too often; the last good state is saved."""


@dataclass(frozen=True)
class Findings:
    """What the host learns from a `Guard`."""

    dropped: int
    """Updates left out, since the start of training, because their numbers were not finite."""
    in_a_row: int
    """Bad updates up to the last one, or to the one that was one too many."""
    since_last_good: int | None
    """Updates asked for since the last good state, if there were more bad ones than allowed; else None."""


class Guard:
    """Judges the updates of `model` on its device.

    Args:
        model: its batch statistics, which a forward pass moves, are taken back with the update.
        allowed: updates that may be left out before all are.
        tolerated: bad updates in a row that are left out and not counted, as while a loss scaler finds its scale.
        device: where the model is.
    """

    def __init__(self, model: nn.Module, allowed: int, tolerated: int, device: torch.device) -> None:
        self.allowed, self.tolerated = allowed, tolerated
        self.dropping = torch.zeros((), device=device)
        """1.0 if the last update was left out, else 0.0; an optimizer's `found_inf`."""
        self._dropped, self._in_a_row, self._since_last_good = torch.zeros(3, dtype=torch.int64, device=device)
        self._statistics = [
            buffer for module in model.modules() if isinstance(module, _BatchNorm) for buffer in module.buffers()
        ]
        self._before = [buffer.clone() for buffer in self._statistics]

    @property
    def closed(self) -> torch.Tensor:
        """Whether more updates were bad than allowed, so that none is applied any more."""
        closed: torch.Tensor = self._since_last_good > 0
        return closed

    def resume(self, dropped: int, in_a_row: int) -> None:
        """Go on with a model whose weights were loaded, counting from what `findings` told."""
        self._dropped.fill_(dropped)
        self._in_a_row.fill_(in_a_row)
        for buffer, before in zip(self._statistics, self._before, strict=True):
            before.copy_(buffer)

    @torch.no_grad()
    def judge(self, norm: torch.Tensor, loss_is_finite: torch.Tensor) -> torch.Tensor:
        """`dropping` of the next update; every rank must call it, and with the same values.

        `norm` is that of all gradients. Nothing is tolerated where the loss was not finite on some rank.
        """
        bad = ~norm.isfinite()
        self._in_a_row.copy_(torch.where(self.closed, self._in_a_row, (self._in_a_row + 1) * bad))
        counted = bad & ((self._in_a_row > self.tolerated) | ~loss_is_finite)
        self._dropped += counted & ~self.closed
        closed = self.closed | (counted & (self._dropped > self.allowed))
        self._since_last_good += closed
        self.dropping = (bad | closed).float()
        for buffer, before in zip(self._statistics, self._before, strict=True):
            dist.broadcast(buffer, 0)  # each rank has seen other images: the main rank's count, as with DDP
            buffer.copy_(before.copy_(torch.where(bad | closed, before, buffer)))
        return self.dropping

    def findings(self) -> Findings:
        """What happened so far; waits for the device."""
        since = int(self._since_last_good.item())
        return Findings(int(self._dropped.item()), int(self._in_a_row.item()), since or None)


def spoil_if_not_finite(loss: torch.Tensor) -> torch.Tensor:
    """`loss`; where it is not finite, so that all its gradients are not finite either.

    The ranks' average then tells every rank, also of a loss of infinity whose gradients are zero.
    """
    return loss * torch.where(loss.detach().isfinite(), 1.0, float("nan"))
