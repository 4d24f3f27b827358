"""From the bytes of a .beton file to the cuts of its images, compiled and free of Python's lock.

The decoder is the libturbojpeg that FFCV is built on, called with the accurate inverse transform: the
pixels are Pillow's, where FFCV's own call takes the fast one, which is off by one level on average.
"""

import ctypes
import weakref
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from locat.data.compiled import compiled, kept
from locat.data.ffcv_library import library
from locat.data.resample import CHANNELS, MOST_HALVINGS, halved, resample, room

IMAGE = np.dtype(
    [
        ("address", np.int64),  # where its bytes begin in the file
        ("bytes", np.int64),
        ("height", np.int32),  # in pixels
        ("width", np.int32),
        ("jpeg", np.int32),  # 0: the bytes are the pixels
    ],
    align=True,
)

UNREADABLE, CORRUPT = 1, 2
PROBLEMS = {
    UNREADABLE: "the file ends before it, or cannot be read",
    CORRUPT: "its JPEG is corrupt",
}

RGB, ACCURATE = 0, 4096  # turbojpeg.h: TJPF_RGB, TJFLAG_ACCURATEDCT
MARGIN = 16  # rows below those asked for, of which smooth upsampling of the colours looks at a few
MESSAGE = 200  # characters of an error message, at most
HELD = -1
"""In place of an open file's number: the workspace has the bytes of the image already."""

_open, _close = library.tjInitDecompress, library.tjDestroy
_open.restype = ctypes.c_void_p
_close.argtypes = [ctypes.c_void_p]


def _external(name: str, function: Any, signature: Any) -> Any:
    """A C function that compiled code calls by its name: a call by address could not be kept on the disk."""
    llvmlite.binding.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
    return types.ExternalFunction(name, signature)


_decompress = _external(
    "locat_tjDecompress2",
    library.tjDecompress2,
    types.int32(
        *(types.uintp, types.uintp, types.uint64, types.uintp),
        *(types.int32, types.int32, types.int32, types.int32, types.int32),
    ),
)
_message = _external("locat_tjGetErrorStr2", library.tjGetErrorStr2, types.CPointer(types.uint8)(types.uintp))
_pread = _external(
    "locat_pread", ctypes.CDLL(None).pread, types.int64(types.int32, types.uintp, types.uint64, types.int64)
)


class Workspace:
    """What one thread needs to decode: a decompressor, and room for the largest of `images`."""

    def __init__(self, images: NDArray[np.void]) -> None:
        self.decompressor = _open()
        weakref.finalize(self, _close, self.decompressor)
        largest = (images["height"].astype(np.int64) * images["width"]).max(initial=0)
        self.content = np.empty(images["bytes"].max(initial=0), np.uint8)
        self.pixels = np.empty(largest * CHANNELS + room(images["width"].max(initial=0)), np.uint8)

    def make_room(self, image: np.void) -> None:
        """For one that may be larger than those before."""
        height, width = int(image["height"]), int(image["width"])
        pixels = height * width * CHANNELS + room(width)
        if len(self.content) < image["bytes"]:
            self.content = np.empty(int(image["bytes"]), np.uint8)
        if len(self.pixels) < pixels:
            self.pixels = np.empty(pixels, np.uint8)

    def hold(self, image: np.void) -> NDArray[np.uint8]:
        """Where the bytes of this image go before it is cut by itself as HELD."""
        self.make_room(image)
        return (self.content if image["jpeg"] else self.pixels)[: image["bytes"]]


def cut_images(
    file: int, images: NDArray[np.void], cuts: NDArray[np.void], out: NDArray[np.uint8], workspace: Workspace
) -> tuple[int, str] | None:
    """Decode each image once and write all of its cuts.

    Args:
        file: an open file's number, or HELD.
        images: records of IMAGE (n,), in that file.
        cuts: records of `views.CUT` (n, views), within their images, with their addresses in `out`.
        out: flat bytes.

    Returns:
        None, or which image could not be decoded, and why.
    """
    row, problem = _cut_images(file, images, cuts, out, workspace.decompressor, workspace.content, workspace.pixels)
    return (row, PROBLEMS[problem]) if problem else None


def compile_ahead() -> None:
    """Compile what the first call of `cut_images` would compile; where it can be kept, later processes load it."""
    from locat.data.views import CUT

    images = np.zeros(0, IMAGE)
    cut_images(HELD, images, np.zeros((0, 1), CUT), np.zeros(0, np.uint8), Workspace(images))


@kept
def _cut_images(
    file: int,
    images: Any,
    cuts: Any,
    out: NDArray[np.uint8],
    decompressor: int,
    content: NDArray[np.uint8],
    pixels: NDArray[np.uint8],
) -> tuple[int, int]:
    for row in range(len(images)):
        image = images[row]
        rows = 0  # those that are needed, from the top
        halvings = MOST_HALVINGS if image.jpeg else 0
        for view in range(cuts.shape[1]):
            rows = max(rows, cuts[row, view].top + cuts[row, view].height)
            halvings = min(halvings, cuts[row, view].halvings)
        problem = 0
        if image.jpeg:
            if file != HELD:
                problem = read(file, image.address, content[: image.bytes])
            if not problem:
                jpeg = content[: image.bytes]
                problem = decode(jpeg, image.height, image.width, halvings, rows, pixels, decompressor)
        elif file != HELD:
            problem = read(file, image.address, pixels[: rows * image.width * CHANNELS])
        if problem:
            return row, problem
        for view in range(cuts.shape[1]):
            cut = cuts[row, view]
            resample(pixels, halved(image.width, halvings), cut, halvings, out[cut.address :])
    return len(images), 0


@compiled
def read(file: int, address: int, content: NDArray[np.uint8]) -> int:
    """Fill `content` from the file, which may have been cut short since it was opened."""
    done = 0
    while done < len(content):
        rest = content[done:]
        count = _pread(file, rest.ctypes.data, len(rest), address + done)
        if count <= 0:
            return UNREADABLE
        done += count
    return 0


@compiled
def decode(
    jpeg: NDArray[np.uint8],
    height: int,
    width: int,
    halvings: int,
    rows: int,
    pixels: NDArray[np.uint8],
    decompressor: int,
) -> int:
    """The first `rows` rows of a JPEG, exactly as they are in the whole image; a warning counts as an error.

    The image is then halved so many times: each pixel is that of 2, 4 or 8 x 8, smoothed by the inverse transform.

    With the height in its header lowered, the decompressor stops early; it then complains, after all rows are
    done, that there is more. Any other complaint, and there is no short cut.
    """
    at = frame(jpeg)
    if at < 0 or int(jpeg[at]) << 8 | jpeg[at + 1] != height or int(jpeg[at + 2]) << 8 | jpeg[at + 3] != width:
        return CORRUPT
    less = rows + MARGIN
    sequential = jpeg[at - 4] <= 0xC1
    if sequential and less < height:
        jpeg[at], jpeg[at + 1] = less >> 8, less & 0xFF
        done = decompress(jpeg, halved(less, halvings), halved(width, halvings), pixels, decompressor)
        jpeg[at], jpeg[at + 1] = height >> 8, height & 0xFF
        if done or stopped_early(decompressor):
            return 0
    done = decompress(jpeg, halved(height, halvings), halved(width, halvings), pixels, decompressor)
    return 0 if done else CORRUPT


@compiled
def decompress(jpeg: NDArray[np.uint8], height: int, width: int, pixels: NDArray[np.uint8], decompressor: int) -> bool:
    """By the largest scale of libjpeg-turbo's whose result fits into `height` x `width` pixels."""
    code: int = _decompress(
        decompressor, jpeg.ctypes.data, len(jpeg), pixels.ctypes.data, width, 0, height, RGB, ACCURATE
    )
    return code == 0


@compiled
def frame(jpeg: NDArray[np.uint8]) -> int:
    """Where the height and the width stand in the header of a JPEG, two bytes each; -1: nowhere."""
    at = 2  # behind the start-of-image marker
    while at + 9 <= len(jpeg) and jpeg[at] == 0xFF:
        marker = jpeg[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return at + 5
        elif marker in (0xD9, 0xDA):  # end, or the scan without a frame
            return -1
        else:
            at += 2 + (int(jpeg[at + 2]) << 8 | jpeg[at + 3])
    return -1


@compiled
def stopped_early(decompressor: int) -> bool:
    """Whether the first complaint was of bytes that are left over before the end or a restart marker (0xdN)."""
    message = numba.carray(_message(decompressor), MESSAGE)
    end = 0
    while end < MESSAGE and message[end] != 0:
        end += 1
    expected = b"extraneous bytes before marker 0xd"
    start = end - 1 - len(expected)
    if start < 0:
        return False
    same = True
    for at in range(len(expected)):
        same &= message[start + at] == expected[at]
    return same
