"""What is known by a model's name of whether LocAt goes into it, beside what timm's registry says."""

import sys

import pytest
import timm
from timm.models import Eva, SwinTransformer, VisionTransformer
from timm.models._registry import _model_to_module

import locat.models  # noqa: F401
from locat.config.attach import OTHERS, refuse_by_name

KINDS = (VisionTransformer, Eva, SwinTransformer)


def may_take_locat(module: str) -> bool:
    """Whether models of this module of timm, or of ours, may be of one of the three classes."""
    found = sys.modules[f"timm.models.{module}" if f"timm.models.{module}" in sys.modules else f"locat.models.{module}"]
    return any(isinstance(value, type) and issubclass(value, KINDS) for value in vars(found).values())


def test_no_model_that_may_take_locat_is_refused_by_its_name() -> None:
    refused = {name for name in timm.list_models() if name.startswith(OTHERS)}
    assert len(refused) > 800
    assert not {name for name in refused if may_take_locat(_model_to_module[name])}
    assert all(any(name.startswith(prefix) for name in refused) for prefix in OTHERS)


@pytest.mark.parametrize(
    "name", ["vit_small_patch14_dinov2.lvd142m", "swin_tiny_patch4_window7_224", "eva02_tiny_patch14_224"]
)
def test_others_are_not(name: str) -> None:
    refuse_by_name(name)
