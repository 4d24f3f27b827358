"""How well a segmentation agrees with the truth: all from one confusion matrix over the whole set."""

from typing import NamedTuple

import torch
import torch.distributed as dist
from scipy.optimize import linear_sum_assignment

from locat.data.labels import IGNORED


class Confusion:
    """Counts of pixels by true and predicted class, int64 (classes, classes), the truth in rows."""

    def __init__(self, classes: int, device: torch.device | str = "cpu") -> None:
        self.counts = torch.zeros((classes, classes), dtype=torch.int64, device=device)

    def add(self, prediction: torch.Tensor, truth: torch.Tensor) -> None:
        """Count the pixels of uint8 maps of equal shape whose truth is known."""
        classes = len(self.counts)
        known = truth != IGNORED
        cells = truth[known].long() * classes + prediction[known]
        self.counts += cells.bincount(minlength=classes**2).view(classes, classes)

    def reduce(self) -> torch.Tensor:
        """The counts of all ranks together; every rank must call it, once."""
        if dist.is_initialized():
            dist.all_reduce(self.counts)
        return self.counts


class ClassScores(NamedTuple):
    """Of each class, (classes,) in 0..1, not a number where it is not defined."""

    iou: torch.Tensor
    """Of a class that is neither in the truth nor predicted there is none."""
    accuracy: torch.Tensor
    """Share of its true pixels that were found; of a class not in the truth there is none."""


def class_scores(confusion: torch.Tensor) -> ClassScores:
    """Scores of each class, float64, of a confusion matrix (classes, classes), truth in rows."""
    confusion = confusion.double()
    hits, truth, predicted = confusion.diag(), confusion.sum(1), confusion.sum(0)
    return ClassScores(hits / (truth + predicted - hits), hits / truth)


def segmentation_scores(confusion: torch.Tensor) -> dict[str, float]:
    """mIoU, aAcc and mAcc (0..1) of a confusion matrix; means are over the classes that have a score."""
    iou, accuracy = class_scores(confusion)
    counts = confusion.double()
    return {
        "miou": iou.nanmean().item(),
        "aacc": (counts.diag().sum() / counts.sum()).item(),
        "macc": accuracy.nanmean().item(),
    }


def matched(confusion: torch.Tensor) -> torch.Tensor:
    """The confusion matrix with its columns, the predicted classes, in the order that makes the sum of IoUs largest.

    As methods are judged that find segments without knowing what they are called (Hungarian matching).
    """
    counts = confusion.double()
    union = counts.sum(1, keepdim=True) + counts.sum(0, keepdim=True) - counts
    _, columns = linear_sum_assignment((counts / union.clamp(min=1)).cpu().numpy(), maximize=True)
    return confusion[:, torch.from_numpy(columns).to(confusion.device)]
