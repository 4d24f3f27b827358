"""Own images with own masks: how they pair, what becomes of them, and what is said of wrong ones."""

import io
import json
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from locat.config import ConvertConfig
from locat.config.mask_folder import HeldOut, MaskFolder
from locat.contract.errors import DataError
from locat.contract.job_folder import JobFolder
from locat.data import beton
from locat.data.datasets import open_dataset
from locat.data.datasets.base import Dataset
from locat.data.datasets.mask_folder import hold_out, pair_up
from locat.data.datasets.masked_images import Pair
from locat.data.pairs import Pairs
from locat.tasks.convert import convert
from support.pictures import jpeg, picture

MASK = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
NAMES = ("a", "b", "deep/a", "deep/er/c.with.dots")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four images of 3 x 2 pixels of several formats, two in folders, and their masks."""
    for name, ending in zip(NAMES, (".png", ".JPG", ".tif", ".bmp"), strict=True):
        image, mask = tmp_path / "images" / f"{name}{ending}", tmp_path / "masks" / f"{name}.png"
        for folder in (image.parent, mask.parent):
            folder.mkdir(parents=True, exist_ok=True)
        picture(3, 2, seed=len(name)).save(image)
        Image.fromarray(MASK).save(mask)
    return tmp_path


def own(source: Path, **changes: Any) -> MaskFolder:
    config = {
        "name": "mask_folder",
        "train": {"images": source / "images", "masks": source / "masks"},
        "split": {"val": 0.25},
        "classes": ["sky", "road", "tree"],
    }
    return MaskFolder.model_validate({**config, **changes})


def masks(dataset: Dataset) -> list[Any]:
    return [np.asarray(Image.open(io.BytesIO(dataset[index].mask or b""))).tolist() for index in range(len(dataset))]  # type: ignore[arg-type]


def replace_masks(source: Path, mask: Image.Image) -> None:
    for path in (source / "masks").rglob("*.png"):
        mask.save(path)


def test_images_and_masks_pair_by_path_whatever_the_ending(source: Path) -> None:
    found = pair_up(own(source).train)
    assert [pair.name for pair in found] == ["a.png", "b.JPG", "deep/a.tif", "deep/er/c.with.dots.bmp"]
    assert [str(pair.mask.relative_to(source / "masks")) for pair in found] == [f"{name}.png" for name in NAMES]


def test_a_part_is_held_out(source: Path) -> None:
    splits = open_dataset(own(source))
    train, val = splits["train"], splits["val"]
    assert (len(train), len(val)) == (3, 1)
    assert {split.name(index) for split in (train, val) for index in range(len(split))} == {
        pair.name for pair in pair_up(own(source).train)
    }
    assert train.contents.mask_classes == ("sky", "road", "tree") and train.contents.source == source.name
    assert masks(train) == [MASK.tolist()] * 3


@given(
    names=st.lists(st.text("abé_1", min_size=1, max_size=6), min_size=2, max_size=40, unique=True),
    val=st.floats(0.01, 0.99),
    seed=st.integers(0, 3),
    shuffled=st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=60)
def test_what_is_held_out_is_disjoint_and_does_not_depend_on_the_order(
    names: list[str], val: float, seed: int, shuffled: Any
) -> None:
    pairs = [Pair(f"{name}.png", Path(name), Path(name), (1, 1)) for name in names]
    split = HeldOut(val=val, seed=seed)
    rest, held_out = hold_out(pairs, split, Path("images"))
    assert sorted([*rest, *held_out]) == sorted(pairs)
    assert len(held_out) == min(max(1, round(val * len(pairs))), len(pairs) - 1)
    other = list(pairs)
    shuffled.shuffle(other)
    assert set(hold_out(other, split, Path("images"))[1]) == set(held_out)
    # Another ending is the same pair.
    renamed = [pair._replace(name=f"{pair.name[:-4]}.jpeg") for pair in pairs]
    assert {pair.image for pair in hold_out(renamed, split, Path("images"))[1]} == {pair.image for pair in held_out}


def test_another_seed_holds_out_others() -> None:
    pairs = [Pair(f"{number}.png", Path(str(number)), Path(str(number)), (1, 1)) for number in range(200)]
    chosen = [set(hold_out(pairs, HeldOut(val=0.2, seed=seed), Path())[1]) for seed in range(3)]
    assert all(len(each) == 40 for each in chosen)
    assert len(chosen[0] & chosen[1]) < 20 and chosen[1] != chosen[2]


def test_one_split_listed_in_any_order_is_the_same_file(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [split.contents for split in open_dataset(own(source)).values()]
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: reversed(sorted(scandir(path), key=lambda entry: entry.name)))
    assert [split.contents for split in open_dataset(own(source)).values()] == before


KINDS: dict[str, tuple[dict[str, Any], NDArray[Any], Any]] = {
    "numbers": ({"classes": {0: "sky", 300: "road"}}, np.array([[0, 300, 255]], np.uint16), [[0, 1, 255]]),
    "8-bit numbers": ({"classes": {0: "sky", 7: "road", 300: "x"}}, np.array([[0, 7, 255]], np.uint8), [[0, 1, 255]]),
    "merged": ({"classes": {0: "sky", 1: "road", 2: "road"}}, np.array([[0, 1, 2]], np.uint8), [[0, 1, 1]]),
    "0 and 255": ({"classes": {0: "back", 255: "front"}}, np.array([[0, 255, 0]], np.uint8), [[0, 1, 0]]),
    "from 1 on": ({"reduce_zero_label": True}, np.array([[0, 1, 3]], np.uint8), [[255, 0, 2]]),
    "ignored": ({"ignore": [9, 255]}, np.array([[9, 1, 255]], np.uint8), [[255, 1, 255]]),
    "colours": (
        {"classes": {"#ff0000": "sky", "0, 0, 255": "road"}, "ignore": ["#000000"]},
        np.array([[[255, 0, 0], [0, 0, 255], [0, 0, 0]]], np.uint8),
        [[0, 1, 255]],
    ),
}


@pytest.mark.parametrize(("changes", "mask", "expected"), KINDS.values(), ids=KINDS)
def test_masks_of_every_kind(
    changes: dict[str, Any], mask: NDArray[Any], expected: list[list[int]], source: Path
) -> None:
    replace_masks(source, Image.fromarray(np.concatenate([mask, mask])))
    if "classes" in changes:
        changes = {**changes, "classes": {str(key): name for key, name in changes["classes"].items()}}
    assert masks(open_dataset(own(source, **changes))["val"]) == [expected * 2]


def test_classes_in_a_file(source: Path) -> None:
    (source / "classes.txt").write_text("0: sky\n1: road\n2: road\n")
    dataset = open_dataset(own(source, classes=str(source / "classes.txt")))["val"]
    assert dataset.contents.mask_classes == ("sky", "road")
    (source / "classes.txt").write_text("0: sky\nroad\n")
    with pytest.raises(DataError, match=r"classes\.txt: line 2 has no `number: name`"):
        open_dataset(own(source, classes=str(source / "classes.txt")))
    (source / "classes.txt").write_bytes("Straße\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"classes\.txt: is not text in UTF-8; save it as such$"):
        open_dataset(own(source, classes=str(source / "classes.txt")))
    with pytest.raises(DataError, match=r"none\.txt: cannot be read"):
        open_dataset(own(source, classes=str(source / "none.txt")))


def no_mask(source: Path) -> None:
    (source / "masks" / "b.png").unlink()
    (source / "masks" / "deep" / "a.png").rename(source / "masks" / "a_of_deep.png")


def twice(source: Path) -> None:
    (source / "images" / "deep" / "a.jpg").write_bytes(jpeg())


def no_images(source: Path) -> None:
    (source / "images").rename(source / "other")
    (source / "images").mkdir()
    (source / "images" / "notes.txt").write_text("none")


def inside(source: Path) -> None:
    (source / "images" / "labels").mkdir()
    (source / "masks").rename(source / "real")
    (source / "masks").symlink_to(source / "images" / "labels")


def one(source: Path) -> None:
    for name in NAMES[1:]:
        (source / "masks" / f"{name}.png").unlink()
        next((source / "images").glob(f"{name}.*")).unlink()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_mask, r"2 images have no mask (b.JPG, deep/a.tif) and 1 masks have no image (a_of_deep.png); an image"),
        (twice, "images: deep/a.jpg and deep/a.tif differ in their endings alone; keep one of them"),
        (no_images, "images: holds no images (.jpg .jpeg"),
        (inside, "masks: lies in the folder of the images, or holds it"),
        (one, "images: one image cannot be split; add more, or name a folder under `val`"),
        (lambda source: (source / "masks").rename(source / "labels"), "masks: no such folder; expected one of masks"),
    ],
    ids=["partners", "twice", "none", "inside", "one", "folder"],
)
def test_folders_that_do_not_fit_are_named(change: Callable[[Path], None], message: str, source: Path) -> None:
    change(source)
    with pytest.raises(DataError, match=re.escape(message)) as raised:
        open_dataset(own(source))
    assert "\n" not in str(raised.value)


def converted(source: Path, job: JobFolder, **changes: Any) -> None:
    config = {"task": "convert", "dataset": own(source, **changes).model_dump(), "workers": 1}
    convert(ConvertConfig.model_validate(config), job)


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    folder = JobFolder(tmp_path / "job")
    folder.path.mkdir()
    return folder


SKY = np.zeros((2, 3), np.uint8)


@pytest.mark.parametrize(
    ("mask", "changes", "message"),
    [
        (
            Image.new("L", (2, 3)),
            {},
            r"masks/b\.png: 2 x 3 pixels where its image b\.JPG has 3 x 2; .* belong together$",
        ),
        (Image.new("L", (3, 2), 7), {}, r"b\.png: 6 of its pixels have the number 7, which no class has; add it"),
        (Image.new("RGB", (3, 2), (1, 2, 3)), {"classes": {"#ff0000": "sky"}}, r"b\.png: .* the colour #010203, which"),
        (Image.new("RGB", (3, 2)), {}, r"b\.png: not a mask of numbers \(it holds RGB colours\); .* `classes`$"),
        (Image.fromarray(SKY), {}, r"no mask has a pixel of 2 of the 3 classes \(road, tree\), so that .* remove them"),
    ],
    ids=["size", "number", "colour", "kind", "class"],
)
def test_masks_that_do_not_fit_are_named_and_nothing_is_written(
    mask: Image.Image, changes: dict[str, Any], message: str, source: Path, job: JobFolder
) -> None:
    replace_masks(source, mask)
    with pytest.raises(DataError, match=message) as raised:
        converted(source, job, split={"val": 0.25, "seed": 1}, **changes)
    assert "\n" not in str(raised.value)
    assert [path.name for path in job.outputs.iterdir() if not path.name.startswith(".")] == []


def test_what_is_converted_is_what_was_there_with_its_pixels_counted(source: Path, job: JobFolder) -> None:
    replace_masks(source, Image.fromarray(np.array([[0, 1, 2], [2, 2, 255]], np.uint8)))
    converted(source, job)
    manifest = beton.open_manifest(job.outputs / "train.beton")
    assert (manifest.pixels, manifest.ignored_pixels) == ((3, 3, 9), 3)
    stored = Pairs(job.outputs / "train.beton")
    assert [stored[index][1].tolist() for index in range(3)] == [[[0, 1, 2], [2, 2, 255]]] * 3
    assert (job.figures / "pixels.png").stat().st_size > 10_000
    sent = {str(path.relative_to(job.outputs)) for path in job.outputs.glob(ConvertConfig.artifacts)}
    assert sent == {"train.beton.json", "val.beton.json", "figures/pixels.png"}


def test_a_manifest_without_counts_can_still_be_trained_on(source: Path, job: JobFolder) -> None:
    converted(source, job)
    path = beton.manifest_path(job.outputs / "train.beton")
    values = json.loads(path.read_text())
    del values["pixels"], values["ignored_pixels"]
    path.write_text(json.dumps(values))
    assert beton.open_manifest(job.outputs / "train.beton").pixels == ()
    converted(source, job)  # stays as it is


def test_images_of_sixteen_bits_are_scaled_as_told(source: Path, job: JobFolder) -> None:
    for path in (source / "images").rglob("*.*"):
        path.unlink()
    for name in NAMES:
        Image.fromarray(np.full((2, 3), 1500, np.uint16)).save(source / "images" / f"{name}.png")
    converted(source, job, range=[1000, 2000])
    image, _ = Pairs(job.outputs / "train.beton")[0]
    assert np.abs(image.numpy().astype(int) - 128).max() <= 2
    before = beton.open_manifest(job.outputs / "train.beton")
    converted(source, job, range=[1000, 3000])
    assert beton.open_manifest(job.outputs / "train.beton").sha256 != before.sha256


def test_hidden_files_and_links_back_are_left_out_and_told(source: Path, caplog: pytest.LogCaptureFixture) -> None:
    (source / "images" / "._a.png").write_bytes(b"\0")
    (source / "images" / "deep" / "again").symlink_to(source / "images")
    (source / "masks" / "Thumbs.db").write_bytes(b"\0")
    with caplog.at_level(logging.WARNING):
        assert len(pair_up(own(source).train)) == 4
    assert "left out ._a.png: hidden" in caplog.text and "a link back to a folder" in caplog.text
