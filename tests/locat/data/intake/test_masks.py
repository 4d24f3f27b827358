"""Masks of every kind of PNG: the file's own numbers, read without Pillow, or a sentence."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from locat.contract.errors import DataError
from locat.data.datasets.ade20k import ade20k
from locat.data.intake.masks import read_png
from support import segmentation_sets
from support.pictures import encoded
from support.png import numbers, png


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("masks") / "mask.png"


@given(
    depth=st.sampled_from([1, 2, 4, 8, 16]),
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 9),
    colours=st.booleans(),
    transparency=st.sampled_from([b"", b"\0", b"\0\x40"]),
    filtered=st.sampled_from([0, 2]),
)
@settings(max_examples=150, deadline=None)
def test_labels_are_the_files_own_numbers_at_any_depth(
    file: Path, depth: int, size: tuple[int, int], seed: int, colours: bool, transparency: bytes, filtered: int
) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2**depth, size)
    palette = random.integers(0, 256, (2**depth, 3)) if colours and depth <= 8 else None
    if palette is None:
        transparency = transparency and (b"\0" + transparency)[:2].rjust(2, b"\0")
    content = png(labels, depth, palette, transparency, filtered)
    file.write_bytes(content)
    found = read_png(file)
    assert np.array_equal(found, numbers(content)) and np.array_equal(found, labels)
    assert found.dtype in (np.uint8, np.uint16)


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "I;16B"])
@pytest.mark.parametrize("options", [{}, {"bits": 4}, {"optimize": True}], ids=str)
def test_what_pillow_writes_is_read_as_another_reader_reads_it(file: Path, mode: str, options: dict[str, int]) -> None:
    levels = np.random.default_rng(0).integers(0, 2 if mode == "1" else 16, (7, 9))
    kinds = {"1": bool, "L": np.uint8, "P": np.uint8, "I;16": np.uint16, "I;16B": ">u2"}
    image = Image.fromarray(levels.astype(kinds[mode]))
    if mode == "P":
        image = Image.fromarray(levels.astype(np.uint8), "L").convert("P")
        image.putpalette(list(range(48)))
    image.save(file, "PNG", **options)
    assert np.array_equal(read_png(file), numbers(file.read_bytes()))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (encoded(Image.new("RGB", (5, 5)), "PNG"), "it holds RGB colours"),
        (encoded(Image.new("RGBA", (5, 5)), "PNG"), "it holds RGB colours with transparency"),
        (encoded(Image.new("LA", (5, 5)), "PNG"), "it holds grey with transparency"),
        (png(np.zeros((3, 3, 2), int), 16), "it holds grey with transparency"),
        (encoded(Image.new("L", (5, 5)), "JPEG"), "it does not begin as a PNG does"),
        (encoded(Image.new("L", (5, 5)), "TIFF"), "it does not begin as a PNG does"),
        (png(np.arange(900).reshape(30, 30) % 251, 8)[:99], "image file is truncated"),
        (b"", "it does not begin as a PNG does"),
    ],
)
def test_what_holds_no_labels_is_named(file: Path, content: bytes, words: str) -> None:
    file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_png(file)
    assert str(file) in str(caught.value) and words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("depth", "label"), [(1, 1), (2, 3), (4, 8), (8, 150), (16, 150)])
def test_a_tree_with_masks_of_any_depth_is_numbered_right(tmp_path: Path, depth: int, label: int) -> None:
    segmentation_sets.ade20k(tmp_path, train=1, val=1)
    path = tmp_path / "annotations" / "training" / "0000.png"
    labels = np.where(np.indices((37, 53)).sum(0) % 2, label, 0)
    path.write_bytes(png(labels, depth))
    mask = ade20k(tmp_path, complete=False)["train"][0].mask
    assert isinstance(mask, bytes)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(mask))), np.where(labels == 0, 255, labels - 1))


def test_a_label_beyond_the_classes_is_named_at_any_depth(tmp_path: Path) -> None:
    segmentation_sets.ade20k(tmp_path, train=1, val=1)
    path = tmp_path / "annotations" / "training" / "0000.png"
    for depth, label in ((8, 151), (16, 151), (16, 256), (16, 65535)):
        path.write_bytes(png(np.full((37, 53), label), depth))
        with pytest.raises(DataError, match=rf"0000\.png: holds label {label}, which ADE20K does not have"):
            ade20k(tmp_path, complete=False)["train"][0]
