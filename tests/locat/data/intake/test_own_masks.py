"""Masks that users made, against their numbers and colours written down."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from locat.contract.errors import DataError
from locat.data.intake.own_masks import read_colours, read_numbers

NUMBERS = np.array([[0, 1, 2], [7, 200, 255]], np.uint8)
DEEP = np.array([[0, 1, 300], [7, 4000, 65535]], np.uint16)
COLOURS = np.array([[[255, 0, 0], [0, 255, 0]], [[1, 2, 3], [0, 0, 0]]], np.uint8)
AS_NUMBERS = [[0xFF0000, 0x00FF00], [0x010203, 0]]


def indexed(numbers: Any) -> Image.Image:
    image = Image.fromarray(numbers).convert("P")
    image.putdata(numbers.flatten().tolist())
    image.putpalette([level for number in range(256) for level in (255 - number, number, 7)])
    return image


@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
@pytest.mark.parametrize("kind", [Image.fromarray, indexed], ids=["grey", "indexed"])
def test_numbers_of_eight_bits(kind: Callable[[Any], Image.Image], ending: str, tmp_path: Path) -> None:
    kind(NUMBERS).save(tmp_path / f"mask.{ending}")
    assert read_numbers(tmp_path / f"mask.{ending}").tolist() == NUMBERS.tolist()


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_numbers_of_sixteen_bits(ending: str, tmp_path: Path) -> None:
    Image.fromarray(DEEP).save(tmp_path / f"mask.{ending}")
    assert read_numbers(tmp_path / f"mask.{ending}").tolist() == DEEP.tolist()


@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
def test_black_and_white_is_0_and_1(ending: str, tmp_path: Path) -> None:
    Image.fromarray(NUMBERS > 1).save(tmp_path / f"mask.{ending}")
    assert read_numbers(tmp_path / f"mask.{ending}").tolist() == (NUMBERS > 1).astype(int).tolist()


@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
def test_colours(ending: str, tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / f"mask.{ending}")
    assert read_colours(tmp_path / f"mask.{ending}").tolist() == AS_NUMBERS


def test_colours_of_a_palette_and_beside_transparency(tmp_path: Path) -> None:
    Image.fromarray(COLOURS).quantize(4).save(tmp_path / "palette.png")
    assert read_colours(tmp_path / "palette.png").tolist() == AS_NUMBERS
    seen_through = np.concatenate([COLOURS, np.full((2, 2, 1), 9, np.uint8)], axis=2)
    Image.fromarray(seen_through).save(tmp_path / "alpha.png")
    assert read_colours(tmp_path / "alpha.png").tolist() == AS_NUMBERS


@pytest.mark.parametrize(
    ("image", "options", "found"),
    [
        (Image.fromarray(COLOURS), {"format": "PNG"}, "it holds RGB colours"),
        (Image.fromarray(COLOURS), {"format": "TIFF"}, "it holds RGB colours"),
        (Image.fromarray(NUMBERS), {"format": "JPEG"}, "a JPEG file in spite of its name"),
        (Image.fromarray(NUMBERS.astype(np.float32)), {"format": "TIFF"}, "it holds no unsigned numbers of 8 or 16"),
        (Image.fromarray(NUMBERS), {"format": "TIFF", "tiffinfo": {262: 0}}, "its numbers count from white down"),
        (Image.fromarray(NUMBERS), {"format": "TIFF", "compression": "jpeg"}, "its compression changes numbers"),
        (
            Image.fromarray(NUMBERS),
            {"format": "TIFF", "save_all": True, "append_images": [Image.fromarray(NUMBERS)]},
            "it holds several pictures",
        ),
    ],
    ids=["colours", "TIFF of colours", "JPEG", "floats", "inverted", "JPEG inside", "several"],
)
def test_what_holds_no_numbers_is_named(
    image: Image.Image, options: dict[str, Any], found: str, tmp_path: Path
) -> None:
    image.save(tmp_path / "mask.png", **options)
    with pytest.raises(DataError, match=rf"mask\.png: not a mask of numbers \({re.escape(found)}") as raised:
        read_numbers(tmp_path / "mask.png")
    assert "\n" not in str(raised.value)


def test_what_holds_no_colours_is_named(tmp_path: Path) -> None:
    Image.fromarray(DEEP).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png: not a mask of colours \(more than 8 bits"):
        read_colours(tmp_path / "deep.png")
    (tmp_path / "none.png").write_bytes(b"\x89PNG\r\n\x1a\nnone")
    for read in (read_colours, read_numbers):
        with pytest.raises(DataError, match=r"none\.png: not a mask of"):
            read(tmp_path / "none.png")
