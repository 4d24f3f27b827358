"""LocAt in a model that was made without it, and what is known by a model's name alone of whether it takes that."""

from typing import Literal

from pydantic import model_validator

from locat.config.base import Schema

ATTACHED = "locat_attached"
"""What timm calls any model with LocAt attached; `base` among its arguments is the plain one."""
_OTHERS = """
beit_ beitv2_ cait_ coat conformer_ convit_ convmixer_ convnext crossvit_ cvt_ darknet davit_ deepseek_ densenet dpn
edgenext_ efficient fastvit_ focalnet_ gcvit_ ghostnet gmlp_ hgnet hiera hrnet_ inception_ levit maxvit_ maxxvit
mixer_ mixnet_ mnasnet_ mobile mvitv2_ naflexvit_ nest_ nextvit_ nfnet_ pit_ poolformer pvt_ regnet rep res rexnet
sam2_ samvit_ sequencer2d_ seresne swinv2_ tf_ tnt_ twins_ vgg visformer_ vit_relpos_ vit_srelpos_ volo_ wide_
xception xcit_
"""
OTHERS = tuple(_OTHERS.split())
"""What timm calls models that are no ViT, Eva or Swin of its begins so; others are looked at when they are built."""


class Attach(Schema):
    """LocAt in a plain ViT, Eva or Swin of timm (docs/finetune.md)."""

    gaug: bool = True
    """GAug in every block."""
    prr: bool = True
    """PRR before what the head reads."""
    init: Literal["identity", "paper"] = "identity"
    """identity: at first the model computes what it does without, for weights that were trained without. paper: GAug as
    the paper draws it, and PRR in full."""

    @model_validator(mode="after")
    def _attaches_something(self) -> "Attach":
        if not (self.gaug or self.prr):
            raise ValueError("gaug and prr are both false, which attaches nothing; leave attach out")
        return self


def refuse_by_name(name: str) -> None:
    """Raise ValueError where a model of this name has LocAt already, or no place for it."""
    if name.startswith("locat"):
        raise ValueError(f"{name} has LocAt already; leave attach out, or name the plain model")
    if name.startswith(OTHERS):
        raise ValueError(
            f"GAug and PRR go into timm's ViT, Eva and Swin, and {name} is none of these; leave attach out"
        )
