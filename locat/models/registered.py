"""What the registered families share: a timm class in its LocAt form, and its default configuration."""

# mypy: warn-return-any=False

from typing import Any, ClassVar

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models._input import get_model_args, update_model_args

from locat.models.attach import attach
from locat.models.prr import PRR

IMAGENET = {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD}
"""Of `default_cfg`: input is normalised with the statistics of ImageNet."""


class PoolsAfterPRR:
    """Mixed in before a timm class that PRR is attached to: naming another pool removes it, and an export says so."""

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """timm's, which puts a pool that is named in PRR's place."""
        refined = has_prr(self)
        super().reset_classifier(num_classes, global_pool)  # type: ignore[misc]
        update_model_args(self, prr=has_prr(self))
        if refined and not has_prr(self):  # the pool reads what it would in a model that never had PRR
            self.pool_include_prefix = get_model_args(self).get("pool_include_prefix", False)


def has_prr(model: Any) -> bool:
    """Whether PRR stands before the head."""
    return any(isinstance(module, PRR) for module in model.modules())


class LocAtForm(PoolsAfterPRR):
    """Mixed in before a timm class: the same arguments, and `gaug` and `prr` as `attach` takes them.

    PRR stands before the pool of the paper (`refined_pools`); any other `global_pool` takes its place.
    """

    refined_pools: ClassVar[tuple[str, ...]] = ("token", "prr")

    def __init__(self, *, gaug: bool | str = True, prr: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        attach(self, gaug=gaug, prr=prr and self.global_pool in self.refined_pools)  # type: ignore[attr-defined, type-var]


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
