"""What is read of an image model at its end."""

from typing import Any

from torch import Tensor, nn


class Readout(nn.Module):
    """Logits of a model with a classifier, and what its classifier would read, by names: `outputs`.

    A model without timm's interface of features, such as CvT and Conformer, gives one of the two: what it returns.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model
        self.whole = not has_features(model)
        outputs = ("logits", "embeddings") if model.num_classes else ("embeddings",)
        self.outputs: tuple[str, ...] = outputs[:1] if self.whole else outputs

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """`outputs`, of (n, classes) and (n, dim), for normalised images (n, 3, H, W)."""
        if self.whole:
            return (self.model(images),)
        features = self.model.forward_features(images)
        embeddings = self.model.forward_head(features, pre_logits=True)
        return (self.model.forward_head(features), embeddings) if self.model.num_classes else (embeddings,)


def has_features(model: nn.Module) -> bool:
    """Whether a model has timm's interface of features, by which one can ask for what its classifier reads."""
    return hasattr(model, "forward_features") and hasattr(model, "forward_head")
