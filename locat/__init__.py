"""What runs inside a job: LocAt models, data, training and evaluation.

`locat.Model` predicts with what a job has left, and `locat.load_segmenter` gives the modules of a segmentation model;
`locat.attach` gives any timm ViT, Eva or Swin its LocAt form. All are imported on use: importing this package,
`locat.config` or `locat.contract` never imports torch, so the launcher can validate a job's config.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from locat.models.attach import attach as attach
    from locat.predict.model import Model as Model
    from locat.tasks.segmentation.saved import load_segmenter as load_segmenter

__version__ = "0.1.0"
_MODULES = {
    "Model": "locat.predict.model",
    "attach": "locat.models.attach",
    "load_segmenter": "locat.tasks.segmentation.saved",
}
"""Where what is imported on use comes from."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'locat' has no attribute {name!r}")
