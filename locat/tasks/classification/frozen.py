"""A frozen backbone and the features that its classifier would read: for the k-NN and the linear evaluation."""

import torch
from timm.data import resolve_data_config
from torch import nn

from locat.contract.errors import ConfigError
from locat.data.augment import normalize
from locat.models.readout import has_features


class FrozenBackbone:
    """A backbone called `name`, in eval mode; its features are what stands before its classifier.

    For a ViT that is [CLS] of the last block after the final norm. With PRR it is [CLS] refined by PRR, which is what
    DINO's head was trained on. Images are normalised as the backbone was trained: its config.json says how.

    Raises ConfigError where the backbone, so `called`, does not take images of `image_size` pixels, or has no features
    to ask for.
    """

    def __init__(
        self, backbone: nn.Module, name: str, image_size: int, device: torch.device, called: str = "the backbone"
    ) -> None:
        if not has_features(backbone):
            raise ConfigError(f"{called} gives only its last answer, not what a classifier would read")
        self.name = name
        self._backbone = backbone.eval().requires_grad_(False).to(device)
        expected = resolve_data_config(model=backbone)
        self._mean, self._std = expected["mean"], expected["std"]
        blank = torch.zeros((1, 3, image_size, image_size), dtype=torch.uint8, device=device)
        try:
            self.dim = self.features(blank).shape[1]
        except (AssertionError, RuntimeError) as error:
            raise ConfigError(f"image_size {image_size}: {called} does not take it: {error}") from error

    @torch.no_grad()
    def features(self, images: torch.Tensor) -> torch.Tensor:
        """(n, dim) of uint8 images (n, 3, H, W)."""
        tokens = self._backbone.forward_features(normalize(images, self._mean, self._std))  # type: ignore[operator]
        features: torch.Tensor = self._backbone.forward_head(tokens, pre_logits=True)  # type: ignore[operator]
        return features
