"""timm's feature interface, as far as the segmentation task uses it, for models that timm does not have."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor


class LastPatches(ABC):
    """Mixed into a model that can give the patches of its last block."""

    num_features: int

    @property
    def feature_info(self) -> list[dict[str, Any]]:
        """As timm's models have it: channels, and pixels along one side of a patch."""
        return [{"num_chs": self.num_features, "reduction": 16}]

    @abstractmethod
    def patches(self, images: Tensor) -> Tensor:
        """Patches of the last block, before any final norm: images (B, 3, H, W) -> (B, dim, h, w)."""

    def forward_intermediates(
        self, images: Tensor, indices: int = 1, norm: bool = False, intermediates_only: bool = True
    ) -> list[Tensor]:
        """As timm's models, for the last block alone. Raises NotImplementedError if more is asked."""
        if (indices, norm, intermediates_only) != (1, False, True):
            raise NotImplementedError(f"{type(self).__name__} gives the patches of its last block, without norm")
        return [self.patches(images)]
