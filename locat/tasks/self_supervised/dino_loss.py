"""DINO's loss and the centre of its teacher (Caron et al. 2021, arXiv 2104.14294, section 3.1)."""

import torch
import torch.distributed as dist
from torch import Tensor

from locat.config.augmentation import Temperatures


def dino_loss(student: Tensor, teacher: Tensor, centre: Tensor, temperatures: Temperatures) -> Tensor:
    """Mean cross entropy over images and over all pairs of a teacher's view and another view of the student.

    `student` is (V, B, K), `teacher` (T, B, K) the outputs for the first T of the V views, `centre` (K,).
    Computed in float32 at least.
    """
    targets = teacher_probabilities(teacher, centre, temperatures.teacher)
    logs = (student.to(targets.dtype) / temperatures.student).log_softmax(-1)
    views, shared = len(student), len(teacher)
    others = logs.sum(0) - logs[:shared]
    return -(targets * others).sum(-1).mean() / (views - 1)


def teacher_probabilities(teacher: Tensor, centre: Tensor, temperature: float) -> Tensor:
    """What the student is to predict: softmax((teacher - centre) / temperature), in float32 at least."""
    return ((teacher.to(torch.promote_types(teacher.dtype, torch.float32)) - centre) / temperature).softmax(-1)


class Centre:
    """The moving average of the teacher's mean output over the images and views of an update, of all ranks.

    `see` may be called for several micro-batches, then `update` once. Every rank has the same `value`.
    """

    def __init__(self, dim: int, momentum: float, device: torch.device) -> None:
        self.momentum = momentum
        self.value = torch.zeros(dim, device=device)
        self._sum = torch.zeros(dim + 1, device=device)  # the last one counts

    def see(self, teacher: Tensor) -> None:
        """Remember outputs (T, B, K) for the next update."""
        outputs = teacher.detach().float().flatten(0, 1)
        self._sum[:-1] += outputs.sum(0)
        self._sum[-1] += len(outputs)

    def update(self, dropped: Tensor) -> None:
        """Move towards what was seen since the last update, or forget it if that was `dropped`; every rank calls it."""
        dist.all_reduce(self._sum)
        mean = self._sum[:-1] / self._sum[-1]
        moved = self.value * self.momentum + mean * (1 - self.momentum)
        self.value = torch.where(dropped.bool(), self.value, moved)
        self._sum.zero_()
