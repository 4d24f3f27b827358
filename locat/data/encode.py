"""One image file made ready to be stored: decoded to the end to see that it can be, and JPEG in RGB or grey."""

import io
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from locat.data.ffcv_library import decodes

KEPT_FORMATS = ("JPEG", "MPO")  # MPO: a JPEG with further pictures behind it, which decoders leave alone
KEPT_MODES = ("RGB", "L")
SHOWN = 200  # characters of a decoder's message


class Undecodable(Exception):
    """The file is no image, or a damaged one; the message says what the decoder found."""


@dataclass(frozen=True)
class Encoding:
    """How image files are stored."""

    shorter_side: int | None = None
    """Pixels to which the shorter side of larger images is brought down."""
    jpeg_quality: int = 95
    """Of images that are encoded again."""


class Jpeg(NamedTuple):
    """A JPEG file of 8-bit RGB or grey."""

    content: bytes
    height: int
    width: int


def encode(content: bytes, encoding: Encoding) -> Jpeg:
    """The image as it will be stored: a JPEG keeps its bytes where it need not shrink or change its colours.

    What is stored has been decoded to the end, without even a warning, by FFCV's own decoder, so that a reader may
    take any complaint of it as damage. A JPEG that libjpeg mends with a warning (bytes too many, flipped bits) is
    not lost: what PIL, and so torchvision, makes of it is encoded again. A file cut short is undecodable.

    The orientation in EXIF is not applied, as torchvision's ImageFolder and timm do not; transparency is dropped.

    Raises:
        Undecodable: the reason is in the message.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            size = stored_size(image.size, encoding.shorter_side)
            kept = image.format in KEPT_FORMATS and image.mode in KEPT_MODES and size == image.size
            if kept and decodes(content, image.height, image.width):
                return Jpeg(content, image.height, image.width)
            pixels = to_rgb(image)
            if size != pixels.size:
                pixels = pixels.resize(size, Image.Resampling.BICUBIC)
            encoded = io.BytesIO()
            pixels.save(encoded, "JPEG", quality=encoding.jpeg_quality)
            return Jpeg(encoded.getvalue(), pixels.height, pixels.width)
    except UnidentifiedImageError as error:
        raise Undecodable("not an image") from error
    except MemoryError:
        raise  # the machine's fault
    except Exception as error:  # a damaged file can make PIL raise anything
        raise Undecodable(f"{type(error).__name__}: {error}"[:SHOWN]) from error


def stored_size(size: tuple[int, int], shorter_side: int | None) -> tuple[int, int]:
    """Width and height, in the proportions of `size`, never larger."""
    if shorter_side is None or min(size) <= shorter_side:
        return size
    width, height = (max(1, round(side * shorter_side / min(size))) for side in size)
    return width, height


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB; of 16-bit grey the high byte, where PIL alone would turn all but the darkest to white."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")
