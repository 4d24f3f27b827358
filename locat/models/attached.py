"""A plain timm model with LocAt attached, as a registered model: what a job leaves of one is built again by timm."""

# mypy: disallow-untyped-decorators=False

from typing import Any

from timm.models import load_pretrained, model_entrypoint, register_model, split_model_name_tag
from torch import nn

from locat.config.attach import ATTACHED
from locat.models.attach import Init, attach
from locat.models.registered import PoolsAfterPRR
from locat.weights.fit import filter_of


@register_model
def locat_attached(
    pretrained: bool = False,
    *,
    base: str,
    gaug: bool | str = True,
    prr: bool = True,
    init: Init = "paper",
    pretrained_cfg: Any = None,
    **kwargs: Any,
) -> nn.Module:
    """`attach` for the timm model that `base` names, with its tag or without; `kwargs` are that model's.

    Pretrained weights are those of `base`, or with a `pretrained_cfg` of values, as in an export's config.json,
    those of the model with LocAt. Raises ValueError as `attach`.
    """
    name, tag = split_model_name_tag(base)
    exported = isinstance(pretrained_cfg, dict)
    create = model_entrypoint(name)
    cfg = pretrained_cfg or tag or None
    model: Any = attach(create(pretrained=pretrained and not exported, pretrained_cfg=cfg, **kwargs), gaug, prr, init)
    model.__class__ = type(f"LocAt{type(model).__name__}", (PoolsAfterPRR, type(model)), {})
    model.pretrained_cfg["architecture"] = ATTACHED
    if pretrained and exported:
        load_pretrained(model, num_classes=model.num_classes, in_chans=model.in_chans, filter_fn=filter_of(model))
    return model  # type: ignore[no-any-return]
