"""Images of many bits as users scale them, against the arithmetic."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from locat.contract.errors import DataError
from locat.data.encode import Encoding, encode
from locat.data.intake.brightness import Brightness
from support.pictures import encoded, jpeg

HERE = Path("image")


def shown(content: bytes, brightness: Brightness) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(brightness.to_eight_bits(content, HERE))))


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_numbers_between_the_limits_are_scaled_and_others_cut(kind: Any) -> None:
    numbers = np.array([[0, 100, 150], [200, 300, 60000]], kind)
    found = shown(encoded(Image.fromarray(numbers), "TIFF"), Brightness((100, 300)))
    assert found.tolist() == [[0, 0, 64], [128, 255, 255]]


def test_negative_numbers_and_no_numbers() -> None:
    numbers = np.array([[-1000, -500, 0], [500, np.nan, np.inf]], np.float32)
    found = shown(encoded(Image.fromarray(numbers), "TIFF"), Brightness((-1000, 500)))
    assert found.tolist() == [[0, 85, 170], [255, 0, 255]]


def test_percentiles_are_of_each_image() -> None:
    numbers = np.arange(101, dtype=np.uint16).reshape(1, 101) * 10 + 5000
    for factor in (1, 3):
        found = shown(encoded(Image.fromarray(numbers * factor), "PNG"), Brightness((10, 90), percentiles=True))
        expected = np.rint((np.arange(101) - 10) / 80 * 255).clip(0, 255)
        assert found[0].tolist() == expected.tolist()


def test_an_even_image_is_black() -> None:
    even = encoded(Image.fromarray(np.full((2, 2), 700, np.uint16)), "PNG")
    assert shown(even, Brightness((1, 99), percentiles=True)).tolist() == [[0, 0], [0, 0]]


def deep_png(numbers: NDArray[np.uint16]) -> bytes:
    """A PNG of 16 bits per channel, of grey and transparency or RGB, which Pillow does not write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    height, width, channels = numbers.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in numbers)
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2}[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def test_colours_of_sixteen_bits_keep_their_lower_bits() -> None:
    numbers = np.array([[[100, 150, 200], [0, 250, 300]]], np.uint16)
    assert shown(deep_png(numbers), Brightness((100, 300))).tolist() == [[[0, 64, 128], [0, 191, 255]]]
    assert shown(deep_png(numbers[..., :2]), Brightness((100, 300))).tolist() == [[0, 0]]


def test_signed_numbers_of_eight_bits() -> None:
    content = bytearray(encoded(Image.fromarray(np.array([[0, 100, 156]], np.uint8)), "TIFF", tiffinfo={339: 2}))
    assert shown(bytes(content), Brightness((-100, 100))).tolist() == [[128, 255, 0]]


def test_a_pgm_says_itself_which_number_is_white() -> None:
    content = b"P5 2 1 4095\n" + np.array([2048, 4095], ">u2").tobytes()
    assert Brightness((0, 1)).to_eight_bits(content, HERE) is content


def test_deep_colours_that_would_lose_bits_are_refused() -> None:
    content = bytearray(encoded(Image.new("RGB", (4, 4)), "TIFF"))
    # The tag that says how many bits the three channels have: a tuple of its own.
    place = content.index(struct.pack("<HHH", 8, 8, 8))
    content[place : place + 6] = struct.pack("<HHH", 16, 16, 16)
    with pytest.raises(DataError, match="image: a TIFF file of colours with more than 8 bits per channel"):
        Brightness((0, 1)).to_eight_bits(bytes(content), HERE)


def test_what_has_eight_bits_or_is_damaged_stays() -> None:
    for content in (jpeg(), encoded(Image.new("L", (4, 4), 9), "PNG"), b"no image"):
        assert Brightness((0, 1)).to_eight_bits(content, HERE) is content


def test_what_is_scaled_can_be_stored() -> None:
    numbers = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    content = Brightness((0, 1)).to_eight_bits(encoded(Image.fromarray(numbers), "TIFF"), HERE)
    stored = np.asarray(Image.open(io.BytesIO(encode(content, Encoding()).content)))
    assert stored.shape == (8, 8, 3) and np.abs(stored[..., 0] - numbers * 255).max() < 8
