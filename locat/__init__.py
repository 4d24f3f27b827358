"""What runs inside a job: LocAt models, data, training and evaluation.

`locat.attach` gives any timm ViT, Eva or Swin its LocAt form. It is imported on use: importing
this package, `locat.config` or `locat.contract` never imports torch, so the launcher can validate a job's config.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from locat.models.attach import attach as attach

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "attach":
        from locat.models.attach import attach

        return attach
    raise AttributeError(f"module 'locat' has no attribute {name!r}")
