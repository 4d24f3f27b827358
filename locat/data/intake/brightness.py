"""Images of more than 8 bits or of floating point numbers, whose user says which numbers are black and white."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from locat.contract.errors import DataError
from locat.contract.names import one_line_path
from locat.data.intake.pictures import PHOTOMETRIC, WHITE_IS_ZERO, Undecodable, is_deep, opened, refuse_unscaled

KEYS = ("range", "percentiles")
"""Of a dataset's options."""
GREY_MODES = ("F", "I", "I;16", "I;16B", "I;16L", "I;16N")
"""Modes of Pillow that show a file's own numbers; deep colours it cuts to 8 bits."""


@dataclass(frozen=True)
class Brightness:
    """Which numbers become black and white."""

    limits: tuple[float, float]
    percentiles: bool = False
    """Whether the limits are percentiles of an image's own numbers."""

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Brightness | None":
        """That of a dataset's `options`, with `range` or `percentiles`; None where they name neither.

        Raises:
            ValueError: what they name is not two numbers.
        """
        for key in KEYS:
            if (limits := options.get(key)) is not None:
                lowest, highest = limits
                return cls((float(lowest), float(highest)), percentiles=key == "percentiles")
        return None

    def to_eight_bits(self, content: bytes, path: Path) -> bytes:
        """The content of a file of 8 bits with the same picture; what has 8 bits, or is none, stays as it is.

        Raises:
            DataError: `path` has deep colours of a format that is not read here.
        """
        try:
            with opened(content) as image:
                if not _needs_limits(image):
                    return content
                kind = image.format
                numbers = _numbers(image, content)
                turned = getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO
        except Undecodable:
            return content  # that is for the encoder to say
        if numbers is None:
            raise DataError(
                f"{one_line_path(path)}: a {kind} file of colours with more than 8 bits per channel, of which `range` "
                "and `percentiles` can only read PNG; save it as PNG of 16 bits"
            )
        levels = self.scaled(numbers)
        file = io.BytesIO()
        Image.fromarray(~levels if turned else levels).save(file, "PPM")
        return file.getvalue()

    def scaled(self, numbers: NDArray[Any]) -> NDArray[np.uint8]:
        """Levels 0..255 of the same shape: linear between the limits, cut beyond; not a number is black."""
        values = numbers.astype(np.float64)
        lowest, highest = self.limits
        if self.percentiles:
            finite = values[np.isfinite(values)]
            lowest, highest = np.percentile(finite, self.limits) if finite.size else (0.0, 1.0)
        width = (highest - lowest) or 1.0
        shares = np.nan_to_num((values - lowest) / width, nan=0.0, posinf=1.0, neginf=0.0)
        levels: NDArray[np.uint8] = np.rint(shares.clip(0, 1) * 255).astype(np.uint8)
        return levels


def _needs_limits(image: Image.Image) -> bool:
    """Whether a picture that is not decoded yet has more than 8 bits, or numbers of which none is white.

    A PGM or PPM says which one is, and Pillow scales it.
    """
    try:
        refuse_unscaled(image)
    except Undecodable:
        return True
    return is_deep(image) and image.format != "PPM"


def _numbers(image: Image.Image, content: bytes) -> NDArray[Any] | None:
    """The numbers in the file, (H, W) or (H, W, 3); None where nothing here reads them."""
    if image.mode == "L":  # of 8 bits these are here only if they are signed, which Pillow does not show
        return np.asarray(image).view(np.int8)
    if image.mode in GREY_MODES:
        return np.asarray(image)
    return _png_colours(content) if image.format == "PNG" else None


def _png_colours(content: bytes) -> NDArray[Any]:
    """RGB (H, W, 3) or grey (H, W) of a PNG of 16 bits; transparency is dropped."""
    import torch
    from torchvision.io import ImageReadMode, decode_png

    try:
        channels = decode_png(torch.frombuffer(bytearray(content), dtype=torch.uint8), ImageReadMode.UNCHANGED)
    except RuntimeError as error:
        raise Undecodable(str(error)) from error
    planes: NDArray[Any] = channels.numpy()
    return planes[:3].transpose(1, 2, 0) if len(planes) > 2 else planes[0]
