"""Images and masks of any size in one dataset, decoded one by one; any number of threads may ask at once."""

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.io import ImageReadMode, decode_jpeg, decode_png

from locat.contract.errors import DataError
from locat.data.open_sets import Source, open_samples


class Pairs:
    """A segmentation set as `convert` writes it: JPEG files with PNG masks.

    Args:
        source: see `Loader`.
        seed: of a training; None where each sample is read once.

    Raises:
        DataError: the file is missing, truncated or of another layout.
    """

    def __init__(self, source: Source, seed: int | None = None) -> None:
        self.contents, self.stored = open_samples(source, seed)
        self.path = self.stored.path
        if self.contents.storage == "pixels" or not self.contents.mask_classes:
            raise DataError(f"{self.path}: holds no images of several sizes with masks; convert a segmentation set")

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of every image, (n, 2)."""
        images = self.stored.images
        return np.stack([images["height"], images["width"]], axis=1).astype(np.int64)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """As `in_epoch`, where no epoch is asked for."""
        return self.in_epoch(0, index)

    def in_epoch(self, epoch: int, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Image uint8 (3, H, W) and mask uint8 (H, W).

        Raises:
            DataError: one of them cannot be decoded.
        """
        found = self.stored.find(np.array([index]), epoch)
        image, mask = (torch.frombuffer(read(0), dtype=torch.uint8) for read in (found.image_bytes, found.mask_bytes))
        try:
            return decode_jpeg(image, ImageReadMode.RGB), decode_png(mask, ImageReadMode.UNCHANGED)[0]
        except (RuntimeError, ValueError) as error:
            raise DataError(f"{self.path}: sample {index} cannot be decoded ({error}); convert it again") from error
