"""Top-1 and top-5 over a whole evaluation set."""

from collections.abc import Callable

import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from locat.engine.task import Batches
from locat.tasks.loaders import at_least_one


class Accuracy:
    """`top1` and, where there are more than five classes, `top5`, in percent."""

    def __init__(self, classes: int, device: torch.device) -> None:
        tops = [top for top in (1, 5) if top == 1 or top < classes]
        self._scores = MetricCollection(
            {f"top{top}": MulticlassAccuracy(classes, top_k=top, average="micro") for top in tops}
        ).to(device)

    def over(self, batches: Batches, classify: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, float]:
        """Of `classify`, uint8 images (n, 3, H, W) -> logits (n, classes); every rank calls it and gets the same."""
        self._scores.reset()
        for batch, _ in batches:
            logits = classify(at_least_one(batch.image))
            if len(batch):
                self._scores.update(logits, batch.target)
        return {name: 100 * score.item() for name, score in self._scores.compute().items()}
