"""Images and masks of any size in one .beton file, decoded one by one; any number of threads may ask at once."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.io import ImageReadMode, decode_jpeg, decode_png

from locat.contract.errors import DataError
from locat.data.beton import open_manifest
from locat.data.stored import Stored


class Pairs(Stored):
    """A segmentation set as `convert` writes it: JPEG files with PNG masks.

    Raises:
        DataError: the file is missing, truncated or of another layout.
    """

    def __init__(self, path: Path) -> None:
        self.contents = open_manifest(path).contents
        if self.contents.storage == "pixels" or not self.contents.mask_classes:
            raise DataError(f"{path}: holds no images of several sizes with masks; convert a segmentation set")
        super().__init__(path)
        self._masks = self._tables.column("mask")

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Height and width of every image, (n, 2)."""
        return np.stack([self.images["height"], self.images["width"]], axis=1).astype(np.int64)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Image uint8 (3, H, W) and mask uint8 (H, W).

        Raises:
            DataError: one of them cannot be decoded.
        """
        image, mask = self.images[index], self._masks[index]
        try:
            return (
                decode_jpeg(self._read(image["address"], image["bytes"]), ImageReadMode.RGB),
                decode_png(self._read(mask["ptr"], mask["size"]), ImageReadMode.UNCHANGED)[0],
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise DataError(f"{self.path}: sample {index} cannot be decoded ({error}); convert it again") from error

    def _read(self, address: Any, length: Any) -> torch.Tensor:
        return torch.frombuffer(bytearray(os.pread(self.file, int(length), int(address))), dtype=torch.uint8)
