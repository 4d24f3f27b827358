"""Opening a picture: any that Pillow reads becomes 8-bit RGB by what its format says of its numbers, or is refused.

Pillow alone turns 16-bit grey to white, floats to black and labels of signed numbers into others, without a word.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

# Pillow's own limit is half of a sound picture of 14,000 x 14,000; `most_pixels` takes its place.
Image.MAX_IMAGE_PIXELS = None

MOST_PIXELS = 500_000_000
"""Of a picture by default: it takes 1.5 GB while it is decoded."""
FORMATS = frozenset(
    {"AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "QOI", "SGI", "TGA", "TIFF", "WEBP"}
)
"""Others are refused: Pillow hands some, such as EPS, to other programs."""
SHOWN = 200  # characters of a decoder's message

BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF
WHITE_IS_ZERO, UNSIGNED = 0, 1

# What was done to a picture, as manifest and log call it.
UPPER_BITS = "more than 8 bits per channel: the upper 8 are kept"
NO_TRANSPARENCY = "transparency: dropped"
NO_PROFILE = "{} colours: taken for sRGB's without their profile"
FIRST_OF_SEVERAL = "several pictures in a file: the first is taken"


class Undecodable(Exception):
    """The file is no picture, a damaged one, or one that cannot be stored; the message says why."""


class Rgb(NamedTuple):
    """A picture of 8-bit RGB."""

    image: Image.Image
    done: tuple[str, ...]
    """What was done to it that is not told by its format alone."""


@contextmanager
def opened(content: bytes, most_pixels: int | None = None) -> Iterator[Image.Image]:
    """The picture in the content of a file, not decoded yet; a damaged one is found out in the body at the latest.

    Raises:
        Undecodable: it is none, or a damaged one, or has more than `most_pixels`.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.format not in FORMATS:
                raise Undecodable(f"a {image.format} file; expected one of {', '.join(sorted(FORMATS))}")
            if most_pixels is not None and image.width * image.height > most_pixels:
                raise Undecodable(f"{image.width} x {image.height} pixels; most_pixels allows {most_pixels}")
            yield image
    except (Undecodable, MemoryError):
        raise  # want of memory is the machine's fault
    except UnidentifiedImageError as error:
        raise Undecodable("not an image") from error
    except Exception as error:  # a damaged file can make Pillow raise anything
        raise Undecodable(f"{type(error).__name__}: {error}"[:SHOWN]) from error


def to_rgb(image: Image.Image) -> Rgb:
    """8-bit RGB of an opened picture.

    Raises:
        Undecodable: its format does not say what its numbers mean as brightness.
    """
    done = list(_findings(image))
    refuse_unscaled(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        return Rgb(Image.fromarray(_upper_bits(image)).convert("RGB"), tuple(done))
    if image.has_transparency_data and _is_seen_through(image):
        done.append(NO_TRANSPARENCY)
    return Rgb(image.convert("RGB"), tuple(done))


def refuse_unscaled(image: Image.Image) -> None:
    """Raise Undecodable where the format does not say which number is white."""
    tags = getattr(image, "tag_v2", {})
    formats = tags.get(SAMPLE_FORMAT, (UNSIGNED,))
    if image.mode == "F":
        numbers = "floating point numbers"
    elif any(number != UNSIGNED for number in (formats if isinstance(formats, tuple) else (formats,))):
        numbers = "signed numbers"
    elif image.mode == "I" and image.format not in ("PNG", "PPM"):  # of these two Pillow makes 16 bits
        numbers = "32-bit numbers"
    else:
        return
    raise Undecodable(
        f"{numbers}, of which a {image.format} file does not say which is white; save 8 or 16 bits; a "
        "mask_folder takes a `range` instead"
    )


def _findings(image: Image.Image) -> Iterator[str]:
    """What is to be told of a picture that is not decoded yet."""
    if is_deep(image):
        yield UPPER_BITS
    if image.mode in ("CMYK", "LAB"):
        yield NO_PROFILE.format(image.mode)
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        yield FIRST_OF_SEVERAL


def is_deep(image: Image.Image) -> bool:
    """Whether a picture that is not decoded yet has more than 8 bits per channel."""
    if image.mode.startswith("I"):
        return True
    bits = getattr(image, "tag_v2", {}).get(BITS_PER_SAMPLE, (8,))
    decoders = [tile.args for tile in getattr(image, "tile", ())]
    return (
        max(bits if isinstance(bits, tuple) else (bits,)) > 8
        or any(";16" in str(arguments) for arguments in decoders)
        or (
            image.format == "PPM" and any(arguments[-1] > 255 for arguments in decoders if isinstance(arguments, tuple))
        )
    )


def _upper_bits(image: Image.Image) -> NDArray[np.uint8]:
    """The upper 8 of the bits of a grey picture, (H, W)."""
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(BITS_PER_SAMPLE, (16,))
    levels = np.asarray(image) >> ((bits[0] if isinstance(bits, tuple) else bits) - 8)
    grey: NDArray[np.uint8] = levels.astype(np.uint8)
    return ~grey if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else grey


def _is_seen_through(image: Image.Image) -> bool:
    """Whether a pixel is not opaque."""
    alpha = image if "A" in image.getbands() else image.convert("RGBA")
    return bool((np.asarray(alpha.getchannel("A")) < 255).any())
