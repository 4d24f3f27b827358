"""What readers ask of a dataset's samples, however many files they lie in."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from locat.data.decode import Workspace


class Found(Protocol):
    """Some samples, in the order in which they were asked for; any number of threads may read them at once."""

    images: NDArray[np.void]
    """Records of decode.IMAGE (n,)."""

    def labels(self) -> NDArray[np.int64]:
        """int64 (n,)."""
        ...

    def masks(self) -> NDArray[np.uint8]:
        """uint8 (n, H, W), of samples that are stored as pixels.

        Raises:
            DataError: one cannot be read.
        """
        ...

    def image_bytes(self, row: int) -> bytearray:
        """What is stored of an image; DataError as for `masks`."""
        ...

    def mask_bytes(self, row: int) -> bytearray:
        """The PNG of an image's mask; DataError as for `masks`."""
        ...

    def cut(self, rows: slice, cuts: NDArray[np.void], out: NDArray[np.uint8], workspace: Workspace) -> None:
        """Decode these images and write their `cuts`, of those rows alone, as `decode.cut_images` does.

        Raises:
            DataError: one is damaged.
        """
        ...


class Samples(Protocol):
    """The samples of a dataset, by their numbers."""

    @property
    def path(self) -> Path:
        """What messages call it."""
        ...

    @property
    def images(self) -> NDArray[np.void]:
        """All of decode.IMAGE (n,); not for sets that are too large to be held in memory."""
        ...

    def __len__(self) -> int: ...

    def workspace(self) -> Workspace:
        """What a thread decodes the samples in."""
        ...

    def find(self, samples: NDArray[np.int64], epoch: int = 0) -> Found:
        """Where these samples (n,) lie in an epoch.

        Raises:
            DataError: that cannot be read.
        """
        ...
