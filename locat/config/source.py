"""What the config classes of all datasets have."""

import math
from typing import ClassVar

from locat.config.base import Schema


class Source(Schema):
    """What is known of a dataset before anything is read."""

    reader: ClassVar[str] = ""
    """`module:function` that reads it, imported when it does; it takes the config and returns both splits, each a
    `locat.data.datasets.base.Dataset`."""
    counts: ClassVar[tuple[int, int] | None] = None
    """Training and evaluation images of the official release."""
    image_bytes: ClassVar[int] = 0
    """About what one stored image takes, its mask included."""
    all_classes: ClassVar[bool] = False
    """Whether each class of the masks must have a pixel in the training set, as in one that the user made."""

    name: str

    def images(self) -> tuple[float, float]:
        """Training and evaluation images; NaN where they are not known."""
        return self.counts or (math.nan, math.nan)

    def stored_bytes(self) -> float:
        """About what both .beton files take; NaN where it is not known."""
        return sum(self.counts) * self.image_bytes if self.counts else math.nan
