"""Every mode and depth of picture that Pillow writes, and some that it only reads, against numbers read without it."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from locat.contract.errors import DataError
from locat.data import beton
from locat.data.datasets.image_folder import image_folder
from locat.data.encode import Encoding, encode
from locat.data.intake import pictures
from locat.data.intake.pictures import Undecodable, opened, to_rgb
from support.pictures import encoded, jpeg, picture, write_tree
from support.png import png

AS_IT_IS = Encoding()


def rgb(content: bytes) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    with opened(content) as image:
        found, done = to_rgb(image)
        return np.asarray(found), done


def sizes(most: int = 9) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(1, most), st.integers(1, most))


@given(depth=st.sampled_from([1, 2, 4, 8, 16]), size=sizes(), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_grey_png_of_any_depth_is_scaled_by_its_depth(depth: int, size: tuple[int, int], seed: int) -> None:
    levels = np.random.default_rng(seed).integers(0, 2**depth, size)
    found, done = rgb(png(levels, depth))
    expected = levels >> 8 if depth == 16 else levels * (255 // (2**depth - 1))
    assert np.array_equal(found, np.repeat(expected[..., None], 3, axis=2))
    assert done == ((pictures.UPPER_BITS,) if depth == 16 else ())


@given(size=sizes(), seed=st.integers(0, 9), deep=st.booleans(), channels=st.sampled_from([2, 3, 4]))
@settings(max_examples=60, deadline=None)
def test_a_colour_png_keeps_its_colours(size: tuple[int, int], seed: int, deep: bool, channels: int) -> None:
    depth = 16 if deep else 8
    levels = np.random.default_rng(seed).integers(0, 2**depth, (*size, channels))
    found, done = rgb(png(levels, depth))
    high = levels >> (depth - 8)
    colours = high[..., :3] if channels > 2 else np.repeat(high[..., :1], 3, axis=2)
    assert np.array_equal(found, colours)
    seen_through = channels != 3 and bool((high[..., -1] < 255).any())
    assert done == (pictures.UPPER_BITS,) * deep + (pictures.NO_TRANSPARENCY,) * seen_through


@given(depth=st.sampled_from([1, 2, 4, 8]), size=sizes(), seed=st.integers(0, 9), transparent=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_palette_png_has_the_colours_of_its_palette(
    depth: int, size: tuple[int, int], seed: int, transparent: bool
) -> None:
    random = np.random.default_rng(seed)
    palette = random.integers(0, 256, (2**depth, 3))
    numbers = random.integers(0, 2**depth, size)
    numbers[0, 0] = 0
    found, done = rgb(png(numbers, depth, palette, b"\x40" if transparent else b""))
    assert np.array_equal(found, palette[numbers])
    assert done == ((pictures.NO_TRANSPARENCY,) if transparent else ())


@given(most=st.integers(1, 65535), size=sizes(), seed=st.integers(0, 9), plain=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_pgm_is_scaled_by_its_largest_number(most: int, size: tuple[int, int], seed: int, plain: bool) -> None:
    levels = np.random.default_rng(seed).integers(0, most + 1, size)
    numbers = levels.astype(">u2" if most > 255 else np.uint8)
    body = " ".join(map(str, levels.flatten())).encode() if plain else numbers.tobytes()
    found, done = rgb(f"{'P2' if plain else 'P5'} {size[1]} {size[0]} {most}\n".encode() + body)
    assert np.abs(found[..., 0] - levels * 255 / most).max() <= 1
    assert done == ((pictures.UPPER_BITS,) if most > 255 else ())


def tiff(levels: NDArray[np.generic], bits: int, kind: int = 1, black: int = 1, order: str = "<") -> bytes:
    """A grey TIFF of one strip; `kind` is 1 for unsigned, 2 for signed and 3 for floating point numbers."""
    height, width = levels.shape
    if bits == 12:
        nibbles = np.stack([levels >> 8 & 15, levels >> 4 & 15, levels & 15], axis=-1).reshape(height, -1)
        nibbles = np.pad(nibbles, ((0, 0), (0, nibbles.shape[1] % 2)))
        body = (nibbles[:, ::2] << 4 | nibbles[:, 1::2]).astype(np.uint8).tobytes()
    else:
        body = levels.astype(levels.dtype.newbyteorder(order)).tobytes()
    tags = {
        256: width,
        257: height,
        258: bits,
        259: 1,
        262: black,
        273: 8,
        277: 1,
        278: height,
        279: len(body),
        339: kind,
    }
    start = 8 + len(body) + len(body) % 2
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, start)
    return head + body + b"\0" * (len(body) % 2) + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


@given(size=sizes(), seed=st.integers(0, 9), order=st.sampled_from("<>"), inverted=st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_sixteen_bit_tiff_is_scaled_and_turned_as_it_says(
    size: tuple[int, int], seed: int, order: str, inverted: bool
) -> None:
    levels = np.random.default_rng(seed).integers(0, 65536, size).astype(np.uint16)
    content = tiff(levels, 16, black=0 if inverted else 1, order=order)
    if inverted and order == ">":  # Pillow does not know it
        with pytest.raises(Undecodable):
            rgb(content)
        return
    found, done = rgb(content)
    assert np.array_equal(found[..., 0], 255 - (levels >> 8) if inverted else levels >> 8)
    assert done == (pictures.UPPER_BITS,)


def test_a_twelve_bit_tiff_is_scaled_by_its_twelve_bits() -> None:
    levels = np.arange(0, 4096, 64).reshape(8, 8)
    found, done = rgb(tiff(levels, 12))
    assert np.array_equal(found[..., 0], levels >> 4) and done == (pictures.UPPER_BITS,)


UNSCALED = {
    "float": tiff(np.full((4, 4), 0.5, np.float32), 32, kind=3),
    "signed 8": tiff(np.full((4, 4), -5, np.int8), 8, kind=2),
    "signed 16": tiff(np.full((4, 4), -5, np.int16), 16, kind=2),
    "signed 32": tiff(np.full((4, 4), 70000, np.int32), 32, kind=2),
    "unsigned 32": tiff(np.full((4, 4), 70000, np.uint32), 32),
    "PFM": b"Pf 2 2 -1.0\n" + np.ones(4, np.float32).tobytes(),
}


@pytest.mark.parametrize("content", UNSCALED.values(), ids=UNSCALED)
def test_numbers_without_a_white_are_refused_by_name(content: bytes) -> None:
    with pytest.raises(Undecodable, match=r"(floating point|signed|32-bit) numbers, of which a \w+ file does not say"):
        encode(content, AS_IT_IS)


MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F", "I;16", "I;16B"]
KINDS = ["PNG", "TIFF", "PPM", "BMP", "WEBP", "GIF", "JPEG2000", "TGA", "PCX", "AVIF", "SGI", "QOI", "JPEG"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", MODES)
def test_whatever_pillow_writes_is_the_picture_or_refused(mode: str, kind: str) -> None:
    """Against its brightness: on its way no picture may become white, black or another."""
    ramp = np.linspace(20, 230, 24 * 16).reshape(16, 24)
    image = {
        "I": Image.fromarray((ramp * 257).astype(np.int32)),
        "F": Image.fromarray(ramp.astype(np.float32)),
        "I;16": Image.fromarray((ramp * 257).astype(np.uint16)),
        "I;16B": Image.fromarray((ramp * 257).astype(">u2")),
        "1": Image.fromarray(ramp > 127),
        "P": Image.fromarray(ramp.astype(np.uint8)).convert("RGB").quantize(250),
        "PA": Image.fromarray(ramp.astype(np.uint8)).convert("P").convert("PA"),
    }.get(mode) or Image.fromarray(np.repeat(ramp.astype(np.uint8)[..., None], 3, axis=2)).convert(mode)
    try:
        content = encoded(image, kind)
    except (OSError, KeyError, ValueError):
        return  # Pillow does not write it
    try:
        found, _ = rgb(content)
    except Undecodable as error:
        assert mode in "IF" and "save 8 or 16 bits" in str(error)
        return
    if (mode[0] in "IF" and kind in ("WEBP", "GIF", "AVIF")) or (mode, kind) == ("I;16B", "JPEG2000"):
        return  # Pillow cut the numbers, or turned their bytes, when it wrote them
    expected = np.where(ramp > 127, 255, 0) if mode == "1" else ramp
    assert np.abs(found.mean(axis=2) - expected).max() < (120 if kind in ("JPEG", "AVIF", "WEBP") else 12)
    assert np.abs(found.mean(axis=2) - expected).mean() < 8


def test_the_first_of_several_pictures_is_taken_and_told() -> None:
    frames = [picture(seed=seed) for seed in range(3)]
    for kind in ("TIFF", "GIF", "PNG", "WEBP"):
        content = encoded(
            frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
        )
        found, done = rgb(content)
        assert np.abs(found.astype(int) - np.asarray(frames[0])).mean() < 20 and pictures.FIRST_OF_SEVERAL in done


def test_what_pillow_would_give_to_another_program_is_refused() -> None:
    with pytest.raises(Undecodable, match="a EPS file; expected one of AVIF"):
        encode(encoded(picture(), "EPS"), AS_IT_IS)


def test_a_large_picture_is_taken_and_a_larger_one_named() -> None:
    content = encoded(Image.new("1", (14_000, 14_000)), "PNG")
    with opened(content, 14_000**2) as image:
        assert image.size == (14_000, 14_000)
    with pytest.raises(Undecodable, match="14000 x 14000 pixels; most_pixels allows 195999999"):
        encode(content, Encoding(most_pixels=14_000**2 - 1))


def bomb(width: int, height: int) -> bytes:
    """The beginning of a PNG that would fill the memory."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(head)) + chunk + struct.pack(">I", zlib.crc32(chunk))


def test_a_bomb_is_not_decoded() -> None:
    with pytest.raises(Undecodable, match=r"2000000000 x 2 pixels|not an image"):
        encode(bomb(2_000_000_000, 2), AS_IT_IS)
    with pytest.raises(Undecodable, match="60000 x 60000 pixels; most_pixels allows 500000000"):
        encode(bomb(60_000, 60_000) + encoded(picture(), "PNG")[33:], AS_IT_IS)


def test_a_side_that_no_jpeg_has_is_named_or_shrunk() -> None:
    content = encoded(Image.new("RGB", (70_000, 4)), "PNG")
    with pytest.raises(Undecodable, match="70000 x 4 pixels, where a JPEG holds up to 65500 a side"):
        encode(content, AS_IT_IS)
    assert encode(content, Encoding(shorter_side=2))[1:3] == (2, 35_000)


def test_what_was_done_is_counted_in_the_manifest_over_parts_and_kills(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "train", ["a"], images=2)
    (root / "a" / "deep.png").write_bytes(png(np.arange(0, 65536, 1024).reshape(8, 8), 16))
    (root / "a" / "deeper.png").write_bytes(png(np.arange(0, 65536, 1024).reshape(8, 8), 16))
    (root / "a" / "clear.png").write_bytes(encoded(Image.new("RGBA", (8, 8), (1, 2, 3, 4)), "PNG"))
    (root / "a" / "mended.jpg").write_bytes(jpeg()[:-2] + b"\0" * 9 + b"\xff\xd9")
    manifest = beton.write(tmp_path / "train.beton", image_folder(root), 1, lambda done: None)
    assert manifest.done[pictures.UPPER_BITS] == 2 and manifest.done[pictures.NO_TRANSPARENCY] == 1
    assert beton.open_manifest(tmp_path / "train.beton") == manifest


def test_a_class_without_a_readable_picture_is_named(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "train", ["a", "b"])
    for file in (root / "b").iterdir():
        file.write_text("no picture")
    with pytest.raises(DataError, match=r"no image of 1 of the classes \(b\) can be decoded \(b/b_0"):
        beton.write(tmp_path / "train.beton", image_folder(root), 1, lambda done: None, most_bad=0.5)
