"""What converting makes of each segmentation set's own format, and what it says of a wrong one."""

import io
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat, savemat

from locat.config.datasets import Ade20k
from locat.contract.errors import DataError
from locat.data.datasets import open_dataset
from locat.data.datasets.ade20k import ade20k
from locat.data.datasets.base import Split
from locat.data.datasets.coco_stuff import CLASSES as COCO_CLASSES
from locat.data.datasets.coco_stuff import coco_stuff
from locat.data.datasets.masked_images import MaskedImages
from locat.data.datasets.pascal_context import CLASSES as PASCAL_CLASSES
from locat.data.datasets.pascal_context import pascal_context
from locat.data.encode import Encoding, encode
from support import segmentation_sets


def mask_of(dataset: MaskedImages, index: int) -> NDArray[np.int64]:
    mask = dataset[index].mask
    assert isinstance(mask, bytes)
    return np.asarray(Image.open(io.BytesIO(mask))).astype(np.int64)


def test_ade20k(tmp_path: Path) -> None:
    segmentation_sets.ade20k(tmp_path, train=4, val=3)
    splits = open_dataset(Ade20k(name="ade20k", source=tmp_path, complete=False))
    assert [len(splits[split]) for split in ("train", "val")] == [4, 3]
    train = splits["train"]
    assert isinstance(train, MaskedImages)
    assert len(train.contents.mask_classes) == 150 and train.contents.mask_classes[149] == "flag"
    assert train.contents.classes == () and train.contents.image_size is None
    for index in range(4):
        labels = np.asarray(Image.open(tmp_path / "annotations" / "training" / f"{index:04}.png")).astype(int)
        assert np.array_equal(mask_of(train, index), np.where(labels == 0, 255, labels - 1))
        assert train[index].image == (tmp_path / "images" / "training" / f"{index:04}.jpg").read_bytes()
        assert train.name(index) == f"{index:04}.jpg"


def test_coco_stuff(tmp_path: Path) -> None:
    segmentation_sets.coco_stuff(tmp_path)
    train = coco_stuff(tmp_path, complete=False)["train"]
    assert len(set(train.mask_classes)) == 171
    # The owners' labels.txt: 0 person, 10 fire hydrant, 11 street sign (unused), 12 stop sign, 181 wood.
    train_ids = {0: "person", 10: "fire hydrant", 12: "stop sign", 89: "toothbrush", 91: "banner", 181: "wood"}
    expected = {label: COCO_CLASSES.index(name) for label, name in train_ids.items()} | {255: 255}
    for index in range(4):
        labels = np.asarray(Image.open(tmp_path / "stuffthingmaps" / "train2017" / f"{index:04}.png"))
        assert np.array_equal(mask_of(train, index), np.vectorize(expected.__getitem__)(labels))


def test_pascal_context(tmp_path: Path) -> None:
    segmentation_sets.pascal_context_tree(tmp_path)
    splits = pascal_context(tmp_path, complete=False)
    assert [len(splits[split]) for split in ("train", "val")] == [4, 3]
    names = ["background", *segmentation_sets.pascal_context_names()]
    val = splits["val"]
    assert val.mask_classes == PASCAL_CLASSES and len(set(PASCAL_CLASSES)) == 59
    for index in range(3):
        labels = loadmat(tmp_path / "trainval" / f"2008_{4 + index:06}.mat")["LabelMap"]
        expected = [PASCAL_CLASSES.index(names[at]) if names[at] in PASCAL_CLASSES else 255 for at in labels.flatten()]
        assert mask_of(val, index).flatten().tolist() == expected


def grey(folder: Path) -> None:
    Image.open(folder / "0000.jpg").convert("L").save(folder / "0000.jpg")


def cmyk(folder: Path) -> None:
    Image.open(folder / "0000.jpg").convert("CMYK").save(folder / "0000.jpg")


def rotated(folder: Path) -> None:
    image = Image.open(folder / "0000.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter
    image.save(folder / "0000.jpg", exif=exif)


@pytest.mark.parametrize("change", [grey, cmyk, rotated], ids=lambda change: change.__name__)
def test_grey_cmyk_and_rotated_images_keep_their_masks(change: Callable[[Path], None], tmp_path: Path) -> None:
    from locat.data import beton
    from locat.data.pairs import Pairs

    segmentation_sets.ade20k(tmp_path / "tree", train=1, val=1)
    folder = tmp_path / "tree" / "images" / "training"
    change(folder)
    train = ade20k(tmp_path / "tree", complete=False)["train"]
    beton.write(tmp_path / "train.beton", train, 1, lambda done: None)
    image, mask = Pairs(tmp_path / "train.beton")[0]
    expected = np.asarray(Image.open(folder / "0000.jpg").convert("RGB")).astype(int)
    assert np.array_equal(mask.numpy(), mask_of(train, 0))
    assert image.shape == (3, *mask.shape)
    # What is not kept byte by byte is encoded once more.
    assert np.abs(image.permute(1, 2, 0).numpy() - expected).mean() < (6 if change is cmyk else 0.5)


def missing_mask(tree: Path) -> None:
    (tree / "annotations" / "training" / "0001.png").unlink()


def missing_image(tree: Path) -> None:
    (tree / "images" / "training" / "0002.jpg").unlink()


def missing_folder(tree: Path) -> None:
    (tree / "images").rename(tree / "pictures")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (missing_mask, r"annotations/training: 0001.png is missing, and 0 more of 4; every image needs its mask"),
        (missing_image, r"images/training: 0002.jpg is missing"),
        (missing_folder, r"images/training: no such folder"),
        (lambda tree: None, r"images/training: 4 images where the split has 20210; .* complete: false"),
    ],
    ids=["mask", "image", "folder", "count"],
)
def test_a_wrong_layout_is_said_in_a_sentence(change: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    segmentation_sets.ade20k(tmp_path, train=4, val=3)
    change(tmp_path)
    with pytest.raises(DataError, match=message) as raised:
        ade20k(tmp_path)
    assert "\n" not in str(raised.value)


def test_official_counts() -> None:
    from locat.data.datasets import ade20k, coco_stuff, pascal_context

    counts: list[dict[Split, int]] = [module.COUNTS for module in (ade20k, pascal_context, coco_stuff)]
    assert counts == [{"train": 20210, "val": 2000}, {"train": 4998, "val": 5105}, {"train": 118287, "val": 5000}]


def replace_mask(tree: Path, content: bytes | Image.Image) -> None:
    path = tree / "annotations" / "training" / "0000.png"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content.save(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Image.new("L", (53, 37), 151), "0000.png: holds label 151, which ADE20K does not have"),
        (Image.new("L", (37, 53), 1), "0000.png: 37 x 53 pixels where its image 0000.jpg has 53 x 37"),
        (Image.new("RGB", (53, 37)), "0000.png: not a PNG of labels (it holds RGB colours)"),
        (b"no image", "0000.png: not a PNG of labels"),
    ],
    ids=["label", "size", "colours", "damaged"],
)
def test_a_wrong_mask_is_said_in_a_sentence(content: bytes | Image.Image, message: str, tmp_path: Path) -> None:
    segmentation_sets.ade20k(tmp_path, train=1, val=1)
    replace_mask(tmp_path, content)
    with pytest.raises(DataError, match=re.escape(message)):
        ade20k(tmp_path, complete=False)["train"][0]


def test_an_unused_label_of_coco_is_wrong(tmp_path: Path) -> None:
    segmentation_sets.coco_stuff(tmp_path)
    Image.new("L", (53, 37), 11).save(tmp_path / "stuffthingmaps" / "train2017" / "0000.png")
    with pytest.raises(DataError, match="holds label 11, which COCO-Stuff does not have"):
        coco_stuff(tmp_path, complete=False)["train"][0]


def test_what_pascal_context_can_lack(tmp_path: Path) -> None:
    segmentation_sets.pascal_context_tree(tmp_path)
    mat = tmp_path / "trainval" / "2008_000000.mat"
    savemat(mat, {"LabelMap": np.full((37, 53), 460, np.uint16)})
    with pytest.raises(DataError, match="holds label 460, which PASCAL Context does not have"):
        pascal_context(tmp_path, complete=False)["train"][0]
    savemat(mat, {"Other": np.zeros(3)})
    with pytest.raises(DataError, match="not a MATLAB file with a map of labels"):
        pascal_context(tmp_path, complete=False)["train"][0]
    mat.unlink()
    with pytest.raises(DataError, match=r"trainval: 2008_000000, which .*train\.txt lists, is missing"):
        pascal_context(tmp_path, complete=False)
    (tmp_path / "labels.txt").write_text("1: accordion\n")
    with pytest.raises(DataError, match=r"labels\.txt: gives no label the name 'aeroplane'"):
        pascal_context(tmp_path, complete=False)


def test_other_files_are_other_contents(tmp_path: Path) -> None:
    segmentation_sets.ade20k(tmp_path, train=2, val=1)
    before = ade20k(tmp_path, complete=False)["train"].contents
    assert ade20k(tmp_path, complete=False)["train"].contents == before
    (tmp_path / "images" / "training" / "0001.jpg").write_bytes(b"another")
    assert ade20k(tmp_path, complete=False)["train"].contents != before


@pytest.mark.parametrize("ending", [".JPG", ".jpeg", ".Jpeg", ".JPEG"])
def test_own_data_in_ades_layout_may_end_otherwise(tmp_path: Path, ending: str) -> None:
    segmentation_sets.ade20k(tmp_path, train=3, val=1)
    whole = ade20k(tmp_path, complete=False)["train"]
    before = [whole[index] for index in range(3)]
    for file in sorted((tmp_path / "images" / "training").iterdir()):
        file.rename(file.with_suffix(ending))
    mask = tmp_path / "annotations" / "training" / "0002.png"
    mask.rename(mask.with_suffix(".PNG"))
    train = ade20k(tmp_path, complete=False)["train"]
    assert [train[index] for index in range(3)] == before
    assert train.name(1) == f"0001{ending}"
    (tmp_path / "images" / "training" / "0001.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"0001\.\w+ and 0001\.\w+ are of one name; keep one"):
        ade20k(tmp_path, complete=False)


def test_hidden_files_and_other_endings_among_pairs_are_told(tmp_path: Path, caplog) -> None:
    segmentation_sets.ade20k(tmp_path, train=1, val=1)
    for name in ("._0000.jpg", ".DS_Store", "notes.txt"):
        (tmp_path / "images" / "training" / name).write_bytes(b"\0")
    with caplog.at_level(logging.INFO):
        assert len(ade20k(tmp_path, complete=False)["train"]) == 1
    assert "left out .DS_Store: hidden" in caplog.text and "1 .txt" in caplog.text


@pytest.mark.timeout(20)
def test_a_pipe_among_pairs_is_named(tmp_path: Path) -> None:
    segmentation_sets.ade20k(tmp_path, train=1, val=1)
    os.mkfifo(tmp_path / "annotations" / "training" / "p.png")
    with pytest.raises(DataError, match=r"annotations/training/p\.png: is a named pipe"):
        ade20k(tmp_path, complete=False)


@pytest.mark.slow
def test_a_large_image_with_its_mask_is_taken(tmp_path: Path) -> None:
    segmentation_sets.ade20k(tmp_path, train=1, val=1)
    Image.new("L", (14_000, 14_000)).save(tmp_path / "images" / "training" / "0000.jpg")
    Image.new("L", (14_000, 14_000), 1).save(tmp_path / "annotations" / "training" / "0000.png")
    sample = ade20k(tmp_path, complete=False)["train"][0]
    assert isinstance(sample.image, bytes)
    assert encode(sample.image, Encoding())[1:3] == (14_000, 14_000)
