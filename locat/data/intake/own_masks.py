"""Reading a mask that the user made: numbers or colours, in a format that keeps them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from locat.contract.errors import DataError
from locat.contract.names import one_line_path
from locat.data.intake.files import read
from locat.data.intake.masks import MOST_PIXELS, SIGNATURE, png_labels
from locat.data.intake.pictures import (
    BITS_PER_SAMPLE,
    PHOTOMETRIC,
    SAMPLE_FORMAT,
    UNSIGNED,
    WHITE_IS_ZERO,
    Undecodable,
    is_deep,
    opened,
)

ENDINGS = (".png", ".tif", ".tiff", ".bmp")
"""Of masks. A JPEG changes numbers and colours, so it cannot be one."""
FORMATS = ("PNG", "TIFF", "BMP")
NUMBERS = ("1", "L", "P", "I;16", "I;16B")
"""Modes of Pillow that show a file's own numbers."""
COLOURS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
KINDS = {"RGB": "RGB colours", "RGBA": "RGB colours with transparency", "LA": "grey with transparency"}


def read_numbers(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Labels (H, W) of a grey or indexed PNG, TIFF or BMP of up to 16 bits; the colours of a palette do not matter.

    Raises:
        DataError: it is none, or damaged; colours do not say which label they stand for.
    """
    content = read(path)
    try:
        return png_labels(content) if content.startswith(SIGNATURE) else _labels(content)
    except Undecodable as error:
        raise DataError(
            f"{one_line_path(path)}: not a mask of numbers ({error}); save it again with the classes' numbers as "
            "grey levels or palette indices, or map its colours to names in `classes`"
        ) from error


def read_colours(path: Path) -> NDArray[np.uint32]:
    """The colour of each pixel as 0xRRGGBB, (H, W), of a PNG, TIFF or BMP of 8 bits; transparency does not matter.

    Raises:
        DataError: it is none, or damaged.
    """
    try:
        with opened(read(path), MOST_PIXELS) as image:
            _check_kept(image)
            if is_deep(image) or image.mode not in COLOURS:
                raise Undecodable(f"more than 8 bits per channel, or other channels: {image.mode}")
            red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")).astype(np.uint32), 2, 0)
    except Undecodable as error:
        raise DataError(
            f"{one_line_path(path)}: not a mask of colours ({error}); save it again as PNG, TIFF or BMP of 8-bit RGB"
        ) from error
    colours: NDArray[np.uint32] = red << 16 | green << 8 | blue
    return colours


def _labels(content: bytes) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Labels (H, W) of a TIFF or BMP."""
    with opened(content, MOST_PIXELS) as image:
        _check_kept(image)
        tags = getattr(image, "tag_v2", {})
        bits = _first(tags.get(BITS_PER_SAMPLE, 8))
        if image.mode not in NUMBERS or _first(tags.get(SAMPLE_FORMAT, UNSIGNED)) != UNSIGNED:
            raise Undecodable(f"it holds {KINDS.get(image.mode, 'no unsigned numbers of 8 or 16 bits')}")
        if tags and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
            raise Undecodable("its numbers count from white down")
        if image.mode != "P" and bits not in (1, 8, 16):
            raise Undecodable(f"{bits} bits per pixel")
        found = np.array(image)
    labels: NDArray[np.uint8] | NDArray[np.uint16] = found.astype(np.uint8) if found.dtype == bool else found
    return labels


def _check_kept(image: Image.Image) -> None:
    """Raise Undecodable where a format may have changed the numbers, or a file holds several pictures."""
    if image.format not in FORMATS:
        raise Undecodable(f"a {image.format} file in spite of its name")
    if image.info.get("compression") in ("jpeg", "webp"):
        raise Undecodable("its compression changes numbers and colours")
    if getattr(image, "n_frames", 1) > 1:
        raise Undecodable("it holds several pictures")


def _first(value: Any) -> Any:
    """Of a tag that has a value per channel."""
    return value[0] if isinstance(value, tuple) else value
