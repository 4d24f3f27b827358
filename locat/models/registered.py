"""What the registered families share: a timm class in its LocAt form, and its default configuration."""

# mypy: warn-return-any=False

from typing import Any, ClassVar

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models._input import update_model_args

from locat.models.attach import attach
from locat.models.prr import PRR

IMAGENET = {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD}
"""Of `default_cfg`: input is normalised with the statistics of ImageNet."""


class LocAtForm:
    """Mixed in before a timm class: the same arguments, and `gaug` and `prr` as `attach` takes them.

    PRR stands before the pool of the paper (`refined_pools`); any other `global_pool` takes its place.
    """

    refined_pools: ClassVar[tuple[str, ...]] = ("token", "prr")

    def __init__(self, *, gaug: bool | str = True, prr: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        attach(self, gaug=gaug, prr=prr and self.global_pool in self.refined_pools)  # type: ignore[attr-defined, type-var]

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """timm's; naming a pool removes PRR, and an export then says so."""
        super().reset_classifier(num_classes, global_pool)  # type: ignore[misc]
        update_model_args(self, prr=any(isinstance(module, PRR) for module in self.modules()))  # type: ignore[attr-defined]


def default_cfg(**kwargs: Any) -> dict[str, Any]:
    """timm's description of a ViT for 224 x 224 images; input is normalised with 0.5 / 0.5 unless said otherwise."""
    return {
        "num_classes": 1000,
        "input_size": (3, 224, 224),
        "pool_size": None,
        "crop_pct": 0.9,
        "interpolation": "bicubic",
        "fixed_input_size": True,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "first_conv": "patch_embed.proj",
        "classifier": "head",
        **kwargs,
    }
