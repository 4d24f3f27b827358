"""One update as the training loop remembers it until the host looks at what became of it."""

from dataclasses import dataclass

import torch

from locat.data.position import Position


@dataclass(frozen=True)
class Update:
    """What was asked of the device in one step; nothing in here has been waited for."""

    position: Position
    """Before it."""
    samples: torch.Tensor
    """This rank's, by number."""
    lr: float
    loss: torch.Tensor
    norm: torch.Tensor
