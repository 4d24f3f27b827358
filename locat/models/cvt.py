"""CvT-21 (arXiv 2103.15808), registered with timm; the model is that of transformers, and its hub weights load."""

# mypy: disallow-untyped-decorators=False, warn-return-any=False

from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from locat.models.registered import default_cfg

default_cfgs = generate_default_cfgs(
    {
        "cvt_21.in1k": default_cfg(
            hf_hub_id="microsoft/cvt-21",
            first_conv="cvt.encoder.stages.0.embedding.convolution_embeddings.projection",
            classifier="classifier",
            fixed_input_size=False,
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
        )
    }
)


@register_model
def cvt_21(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """CvT-21: 1, 4 and 16 blocks of dims 64, 192 and 384."""
    from locat.models.cvt_model import CvT  # transformers takes seconds to import, for one model of many

    return build_model_with_cfg(CvT, "cvt_21", pretrained, **{"depths": (1, 4, 16), **kwargs})
