"""PNG files written, and read, without any library for pictures."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""By channels: grey, grey with transparency, RGB, RGB with transparency."""
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""By colour type; 3 is a palette."""


def png(
    levels: NDArray[np.integer],
    depth: int,
    palette: NDArray[np.integer] | None = None,
    transparency: bytes = b"",
    filtered: int = 0,
) -> bytes:
    """A PNG of the numbers (H, W) or (H, W, channels) of `depth` bits each; with a palette (n, 3) they are indices.

    Rows are as they are, or, where `filtered` is 2, their differences to the rows above.
    """
    height, width = levels.shape[:2]
    flat = levels.reshape(height, -1)
    bits = (flat[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    if filtered == 2:
        rows = np.diff(rows, axis=0, prepend=np.zeros((1, rows.shape[1]), np.uint8))
    kind = 3 if palette is not None else COLOUR_TYPES[1 if levels.ndim == 2 else levels.shape[2]]
    content = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    if palette is not None:
        content += chunk(b"PLTE", palette.astype(np.uint8).tobytes())
    if transparency:
        content += chunk(b"tRNS", transparency)
    body = b"".join(bytes([filtered]) + row.tobytes() for row in rows)
    return SIGNATURE + content + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def numbers(content: bytes) -> NDArray[np.int64]:
    """The numbers (H, W) or (H, W, channels) that a PNG, which is not interlaced, holds."""
    assert content.startswith(SIGNATURE)
    place, data = len(SIGNATURE), b""
    while place < len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        body = content[place + 8 : place + 8 + length]
        if name == b"IHDR":
            width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", body)
            assert not interlaced
        data += body if name == b"IDAT" else b""
        place += 12 + length
    channels = CHANNELS[kind]
    step, length = max(1, depth * channels // 8), -(-width * channels * depth // 8)
    stream = zlib.decompress(data)
    before, rows = np.zeros(length, np.int64), []
    for row in range(height):
        line = stream[row * (length + 1) : (row + 1) * (length + 1)]
        before = unfiltered(line[0], np.frombuffer(line[1:], np.uint8).astype(np.int64), before, step)
        rows.append(before)
    bits = np.unpackbits(np.array(rows, np.uint8), axis=1)[:, : width * channels * depth]
    values = bits.reshape(height, width * channels, depth).astype(np.int64) @ (1 << np.arange(depth - 1, -1, -1))
    return values if channels == 1 else values.reshape(height, width, channels)


def unfiltered(kind: int, line: NDArray[np.int64], above: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """A row's bytes; `step` is the distance to the pixel before."""
    row = line.copy()
    for place in range(len(row)):
        left = int(row[place - step]) if place >= step else 0
        corner = int(above[place - step]) if place >= step else 0
        up = int(above[place])
        nearest = min((left, up, corner), key=lambda value: abs(left + up - corner - value))
        row[place] = (row[place] + (0, left, up, (left + up) // 2, nearest)[kind]) % 256
    return row
