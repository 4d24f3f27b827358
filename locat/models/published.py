"""Parameters and FLOPs that the LocAt paper publishes (arXiv 2603.04892, Tab. 1)."""

from typing import NamedTuple


class Published(NamedTuple):
    """One model of Tab. 1: parameters in millions, FLOPs (multiply-adds) in billions at 224 x 224."""

    model: str
    params: int
    flops: float


TAB_1 = (
    Published("vit_tiny_patch16_224", 6, 1.26),
    Published("locatvit_tiny", 6, 1.27),
    Published("vit_base_patch16_224", 86, 17.58),
    Published("locatvit_base", 86, 17.64),
    Published("swin_tiny_patch4_window7_224", 28, 4.50),
    Published("locatswin_tiny", 28, 4.51),
    Published("swin_base_patch4_window7_224", 88, 15.46),
    Published("locatswin_base", 88, 15.47),
    Published("vit_tiny_patch16_reg4_224", 6, 1.29),
    Published("locatvit_tiny_reg4", 6, 1.30),
    Published("vit_base_patch16_reg4_224", 86, 17.95),
    Published("locatvit_base_reg4", 86, 18.02),
    Published("vit_tiny_patch16_rope_mixed_224", 6, 1.26),
    Published("locatvit_tiny_rope_mixed", 6, 1.27),
    Published("vit_base_patch16_rope_mixed_224", 86, 17.58),
    Published("locatvit_base_rope_mixed", 86, 17.64),
    Published("jumbo_tiny", 9, 1.40),
    Published("locatjumbo_tiny", 9, 1.42),
    Published("jumbo_base", 130, 19.74),
    Published("locatjumbo_base", 130, 19.81),
)
"""Every model of the table, by its name in timm."""
