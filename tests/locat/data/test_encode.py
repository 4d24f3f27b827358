"""Which files stay as they are, which are encoded again, and which are refused."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from locat.data.encode import Encoding, encode, stored_size
from locat.data.ffcv_library import decodes
from locat.data.intake.pictures import Undecodable
from support.pictures import encoded, jpeg, picture

AS_IT_IS = Encoding()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by a quarter to view
    return exif


@pytest.mark.parametrize(
    "content",
    [
        jpeg(),
        encoded(picture().convert("L")),
        encoded(picture(), progressive=True),
        encoded(picture(), subsampling=0),
        encoded(picture(), keep_rgb=True),
        encoded(picture(), exif=turned()),
        encoded(picture(), "MPO", save_all=True, append_images=[picture(seed=1)]),
    ],
    ids=["rgb", "grey", "progressive", "4:4:4", "not YCbCr", "EXIF orientation", "several pictures"],
)
def test_an_eight_bit_jpeg_keeps_its_bytes(content: bytes) -> None:
    assert encode(content, AS_IT_IS) == (content, 30, 40, ())
    assert decodes(content, 30, 40)


@pytest.mark.parametrize(
    ("content", "tolerance"),
    [
        (encoded(picture(), "PNG"), 8),
        (encoded(picture().convert("P"), "PNG"), 30),
        (encoded(picture().convert("RGBA"), "PNG"), 8),
        (encoded(picture().convert("L"), "PNG"), 8),
        (encoded(picture(), "BMP"), 8),
        (encoded(picture(), "WEBP", lossless=True), 8),
        (encoded(picture().convert("CMYK")), 8),
    ],
    ids=["png", "palette", "alpha", "grey png", "bmp", "webp", "cmyk jpeg"],
)
def test_everything_else_becomes_a_jpeg_of_the_same_picture(content: bytes, tolerance: int) -> None:
    image = encode(content, Encoding(jpeg_quality=100))
    assert (image.height, image.width) == (30, 40)
    assert Image.open(io.BytesIO(image.content)).format == "JPEG"
    assert decodes(image.content, 30, 40)
    assert abs(pixels(image.content) - pixels(content)).mean() < tolerance


def test_sixteen_bit_grey_keeps_its_levels() -> None:
    levels = np.linspace(0, 65535, 64 * 64).reshape(64, 64)
    image = encode(encoded(Image.fromarray(levels.astype(np.uint16)), "PNG"), AS_IT_IS)
    assert abs(pixels(image.content)[..., 0] - levels / 256).max() < 6


def test_larger_images_shrink_and_smaller_ones_stay() -> None:
    content = jpeg(width=120, height=60)
    image = encode(content, Encoding(shorter_side=30))
    assert (image.height, image.width) == (30, 60)
    assert Image.open(io.BytesIO(image.content)).size == (60, 30)
    assert encode(content, Encoding(shorter_side=60)).content == content


def test_the_quality_is_that_asked_for() -> None:
    content = encoded(picture(), "PNG")
    sizes = [len(encode(content, Encoding(jpeg_quality=quality)).content) for quality in (10, 50, 100)]
    assert sizes == sorted(set(sizes))


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 600))
def test_the_shorter_side_is_exact_and_the_proportions_stay(width: int, height: int, side: int) -> None:
    stored = stored_size((width, height), side)
    if min(width, height) <= side:
        assert stored == (width, height)
    else:
        assert min(stored) == side
        assert max(stored) == pytest.approx(max(width, height) * side / min(width, height), abs=0.5)


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"no image at all\n"], ids=["empty", "cut", "text"])
def test_what_is_no_image_is_refused(content: bytes) -> None:
    with pytest.raises(Undecodable):
        encode(content, AS_IT_IS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_cut_anywhere_is_refused(kind: str) -> None:
    content = encoded(picture(), kind)
    # Of PNG the checksum and the end marker behind the last pixel are not needed to decode it.
    for length in range(0, len(content) - (1 if kind == "JPEG" else 24), 7):
        with pytest.raises(Undecodable):
            encode(content[:length], AS_IT_IS)
    if kind == "JPEG":
        with pytest.raises(Undecodable):
            encode(content[:-2], AS_IT_IS)


def test_whatever_is_flipped_what_is_stored_decodes_without_complaint() -> None:
    content = jpeg()
    kept = again = refused = 0
    for place in range(0, len(content), 3):
        flipped = content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]
        try:
            image = encode(flipped, AS_IT_IS)
        except Undecodable:
            refused += 1
            continue
        assert decodes(image.content, image.height, image.width)
        kept, again = kept + (image.content == flipped), again + (image.content != flipped)
    assert kept and again and refused


def test_want_of_memory_is_not_the_images_fault(monkeypatch) -> None:
    def out_of_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("locat.data.encode.decodes", out_of_memory)
    with pytest.raises(MemoryError):
        encode(jpeg(), AS_IT_IS)
