"""One image file made ready to be stored: decoded to the end to see that it can be, and JPEG in RGB or grey."""

import io
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from locat.data.ffcv_library import decodes
from locat.data.intake.pictures import MOST_PIXELS, Undecodable, opened, to_rgb

KEPT_FORMATS = ("JPEG", "MPO")  # MPO: a JPEG with further pictures behind it, which decoders leave alone
KEPT_MODES = ("RGB", "L")
LONGEST_SIDE = 65_500
"""Pixels, of a JPEG that libjpeg writes."""
MENDED = "a JPEG that decodes with warnings: what was decoded is encoded again"


@dataclass(frozen=True)
class Encoding:
    """How image files are stored."""

    shorter_side: int | None = None
    """Pixels to which the shorter side of larger images is brought down."""
    jpeg_quality: int = 95
    """Of images that are encoded again."""
    most_pixels: int = MOST_PIXELS
    """Of an image; larger ones are undecodable."""


class Jpeg(NamedTuple):
    """A JPEG file of 8-bit RGB or grey."""

    content: bytes
    height: int
    width: int
    done: tuple[str, ...] = ()
    """What was done to the image on the way, for manifest and log."""


def encode(content: bytes, encoding: Encoding) -> Jpeg:
    """The image as it will be stored: a JPEG keeps its bytes where it need not shrink or change its colours.

    What is stored has been decoded to the end, without even a warning, by FFCV's own decoder, so that a reader may
    take any complaint of it as damage. A JPEG that libjpeg mends with a warning (bytes too many, flipped bits) is
    not lost: what PIL, and so torchvision, makes of it is encoded again. A file cut short is undecodable.

    The orientation in EXIF is not applied, as torchvision's ImageFolder and timm do not; transparency is dropped.

    Raises:
        Undecodable: the reason is in the message.
    """
    with opened(content, encoding.most_pixels) as image:
        size = stored_size(image.size, encoding.shorter_side)
        if max(size) > LONGEST_SIDE:
            raise Undecodable(f"{size[0]} x {size[1]} pixels, where a JPEG holds up to {LONGEST_SIDE} a side; cut it")
        kept = image.format in KEPT_FORMATS and image.mode in KEPT_MODES and size == image.size
        if kept and decodes(content, image.height, image.width):
            return Jpeg(content, image.height, image.width)
        pixels, done = to_rgb(image)
        if size != pixels.size:
            pixels = pixels.resize(size, Image.Resampling.BICUBIC)
        encoded = io.BytesIO()
        pixels.save(encoded, "JPEG", quality=encoding.jpeg_quality)
        return Jpeg(encoded.getvalue(), pixels.height, pixels.width, (*done, MENDED) if kept else done)


def stored_size(size: tuple[int, int], shorter_side: int | None) -> tuple[int, int]:
    """Width and height, in the proportions of `size`, never larger."""
    if shorter_side is None or min(size) <= shorter_side:
        return size
    width, height = (max(1, round(side * shorter_side / min(size))) for side in size)
    return width, height
