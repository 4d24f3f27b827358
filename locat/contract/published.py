"""Parameters and FLOPs of the paper's models (arXiv 2603.04892), for whoever must know them without torch."""

from typing import NamedTuple


class Published(NamedTuple):
    """One model: parameters in millions, FLOPs (multiply-adds) in billions at 224 x 224."""

    model: str
    params: int
    flops: float
    baseline: str = ""
    """Of a model with LocAt: the same without."""


TAB_1 = (
    Published("vit_tiny_patch16_224", 6, 1.26),
    Published("locatvit_tiny", 6, 1.27, baseline="vit_tiny_patch16_224"),
    Published("vit_base_patch16_224", 86, 17.58),
    Published("locatvit_base", 86, 17.64, baseline="vit_base_patch16_224"),
    Published("swin_tiny_patch4_window7_224", 28, 4.50),
    Published("locatswin_tiny", 28, 4.51, baseline="swin_tiny_patch4_window7_224"),
    Published("swin_base_patch4_window7_224", 88, 15.46),
    Published("locatswin_base", 88, 15.47, baseline="swin_base_patch4_window7_224"),
    Published("vit_tiny_patch16_reg4_224", 6, 1.29),
    Published("locatvit_tiny_reg4", 6, 1.30, baseline="vit_tiny_patch16_reg4_224"),
    Published("vit_base_patch16_reg4_224", 86, 17.95),
    Published("locatvit_base_reg4", 86, 18.02, baseline="vit_base_patch16_reg4_224"),
    Published("vit_tiny_patch16_rope_mixed_224", 6, 1.26),
    Published("locatvit_tiny_rope_mixed", 6, 1.27, baseline="vit_tiny_patch16_rope_mixed_224"),
    Published("vit_base_patch16_rope_mixed_224", 86, 17.58),
    Published("locatvit_base_rope_mixed", 86, 17.64, baseline="vit_base_patch16_rope_mixed_224"),
    Published("jumbo_tiny", 9, 1.40),
    Published("locatjumbo_tiny", 9, 1.42, baseline="jumbo_tiny"),
    Published("jumbo_base", 130, 19.74),
    Published("locatjumbo_base", 130, 19.81, baseline="jumbo_base"),
)
"""Every model of Tab. 1 with the paper's numbers, by its name in timm."""

COUNTED = (
    Published("vit_small_patch16_224", 22, 4.61),
    Published("locatvit_small", 22, 4.61, baseline="vit_small_patch16_224"),
    Published("vit_tiny_patch16_nope_224", 6, 1.26),
    Published("locatvit_tiny_nope", 6, 1.26, baseline="vit_tiny_patch16_nope_224"),
    Published("vit_base_patch16_nope_224", 86, 17.58),
    Published("locatvit_base_nope", 86, 17.59, baseline="vit_base_patch16_nope_224"),
)
"""Models of the other tables, whose numbers the paper does not give: counted as `python -m locat models` does."""
