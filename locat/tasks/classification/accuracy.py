"""Top-1 and top-5 over a whole evaluation set."""

from collections.abc import Callable

import torch
import torch.distributed as dist

from locat.contract.errors import DataError
from locat.engine.task import Batches
from locat.tasks.loaders import at_least_one


class Accuracy:
    """`top1` and, where there are more than five classes, `top5`, in percent."""

    def __init__(self, classes: int, device: torch.device) -> None:
        self._tops = tops(classes)
        self._counts = torch.zeros(len(self._tops) + 1, dtype=torch.int64, device=device)
        """Images that each of `_tops` got right, and all images."""

    def over(self, batches: Batches, classify: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, float]:
        """Of `classify`, uint8 images (n, 3, H, W) -> logits (n, classes); every rank calls it and gets the same."""
        self._counts.zero_()
        for batch, _ in batches:
            logits = classify(at_least_one(batch.image))
            if len(batch):
                right = [(likeliest(logits, top) == batch.target[:, None]).sum() for top in self._tops]
                self._counts[:-1] += torch.stack(right)
                self._counts[-1] += len(batch)
        if dist.is_initialized():
            dist.all_reduce(self._counts)
        *right, images = self._counts.float()
        return {f"top{top}": 100 * (count / images).item() for top, count in zip(self._tops, right, strict=True)}


def tops(classes: int) -> tuple[int, ...]:
    """Of which top-k accuracy tells something: of k classes or fewer it is 100 %.

    Raises:
        DataError: there is but one class.
    """
    if classes < 2:
        raise DataError(
            "the data have a single class, so that there is nothing to tell apart; give at least two, or pretrain "
            "without labels by the task dino"
        )
    return tuple(top for top in (1, 5) if top == 1 or top < classes)


def likeliest(logits: torch.Tensor, top: int) -> torch.Tensor:
    """The classes with the `top` largest of the logits (n, classes): (n, top)."""
    return logits.argmax(1, keepdim=True) if top == 1 else logits.topk(top, dim=1).indices
