"""ImageNet in both of its forms: real tars of tars and a real devkit, of a few images."""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from locat.contract.errors import DataError
from locat.data import beton
from locat.data.datasets.imagenet import DEVKIT, TRAIN, VAL, imagenet
from support.pictures import jpeg

WNIDS = ["n02085620", "n01440764", "n03000684"]  # the devkit's order, which is not the order of their names
GROUND_TRUTH = [3, 1, 2, 1]
IMAGES = 3  # of each class, for training


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            add(archive, name, content)
    return buffer.getvalue()


def train_images(wnid: str) -> dict[str, bytes]:
    return {f"{wnid}_{10 - image}.JPEG": jpeg(10 * WNIDS.index(wnid) + image) for image in range(IMAGES)}


def val_images() -> dict[str, bytes]:
    return {f"ILSVRC2012_val_{number:08d}.JPEG": jpeg(100 + number) for number in (2, 4, 1, 3)}


def devkit(wnids: list[str] = WNIDS, truth: list[int] = GROUND_TRUTH) -> dict[str, bytes]:
    """As it is: a struct array of the classes and, with higher numbers, of what they are kinds of."""
    fields = [("ILSVRC2012_ID", "f8"), ("WNID", object), ("words", object), ("num_children", "f8")]
    rows = [(number, wnid, "a thing", 0) for number, wnid in enumerate(wnids, start=1)]
    synsets = np.array([*rows, (len(wnids) + 1, "n00001740", "entity", 3)], dtype=fields).reshape(-1, 1)
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets})
    folder = DEVKIT.removesuffix(".tar.gz")
    return {
        f"{folder}/data/meta.mat": meta.getvalue(),
        f"{folder}/data/ILSVRC2012_validation_ground_truth.txt": "".join(f"{i}\n" for i in truth).encode(),
    }


def write_devkit(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            add(archive, name, content)


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    folder = tmp_path / "tars"
    folder.mkdir()
    (folder / TRAIN).write_bytes(tar({f"{wnid}.tar": tar(train_images(wnid)) for wnid in WNIDS}))
    (folder / VAL).write_bytes(tar(val_images()))
    write_devkit(folder / DEVKIT, devkit())
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The same, unpacked and sorted into folders."""
    folder = tmp_path / "tree"
    for wnid in WNIDS:
        for split in ("train", "val"):
            (folder / split / wnid).mkdir(parents=True)
        for name, content in train_images(wnid).items():
            (folder / "train" / wnid / name).write_bytes(content)
    for name, content in val_images().items():
        wnid = WNIDS[GROUND_TRUTH[int(name[-13:-5]) - 1] - 1]
        (folder / "val" / wnid / name).write_bytes(content)
    return folder


def test_classes_are_numbered_by_wnid_and_labels_come_from_the_devkit(tars: Path) -> None:
    splits = imagenet(tars)
    for split in splits.values():
        assert split.classes == tuple(sorted(WNIDS))
    val = splits["val"]
    named = {val.name(index): val[index] for index in range(len(val))}
    expected = {1: "n03000684", 2: "n02085620", 3: "n01440764", 4: "n02085620"}
    for number, wnid in expected.items():
        sample = named[f"{wnid}/ILSVRC2012_val_{number:08d}.JPEG"]
        assert sample.label == sorted(WNIDS).index(wnid)
        assert sample.image == jpeg(100 + number)


def test_tars_read_in_place_give_what_the_unpacked_tree_gives(tars: Path, tree: Path, tmp_path: Path) -> None:
    before = sorted(os.listdir(tars))
    for split in ("train", "val"):
        packed, unpacked = imagenet(tars)[split], imagenet(tree)[split]
        assert [packed.name(index) for index in range(len(packed))] == [
            unpacked.name(index) for index in range(len(unpacked))
        ]
        first, second = (
            beton.write(tmp_path / f"{number}.beton", files, 1, lambda done: None)
            for number, files in enumerate((packed, unpacked))
        )
        assert first.sha256 == second.sha256
        assert first.contents.samples == len(packed) == {"train": 9, "val": 4}[split]
    assert sorted(os.listdir(tars)) == before


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def remove(path: Path) -> None:
    path.unlink()


def text(path: Path) -> None:
    path.write_text("moved permanently")


def other_devkit(path: Path) -> None:
    write_devkit(path, devkit(truth=[1, 2, 3]))


def unknown_class(path: Path) -> None:
    write_devkit(path, devkit(truth=[3, 1, 2, 77]))


def without_meta(path: Path) -> None:
    write_devkit(path, {"readme.txt": b"x"})


def flat(path: Path) -> None:
    path.write_bytes(tar(train_images(WNIDS[0])))


def fewer(path: Path) -> None:
    path.write_bytes(tar({name: content for name, content in val_images().items() if "2.JPEG" not in name}))


def spoil_header(path: Path) -> None:
    """Python's tarfile takes it for the end of the tar."""
    content = bytearray(path.read_bytes())
    second = content.index(b"ILSVRC2012_val_00000004" if path.name == VAL else b"n01440764_9.JPEG")
    content[second + 200] ^= 1
    path.write_bytes(content)


def spoil_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :: 7] = bytes(len(content[len(content) // 2 :: 7]))
    path.write_bytes(content)


def one_class(path: Path) -> None:
    path.write_bytes(tar({f"{WNIDS[0]}.tar": tar(train_images(WNIDS[0]))}))


@pytest.mark.parametrize(
    ("file", "damage", "words"),
    [
        (TRAIN, remove, f"{TRAIN} is missing"),
        (DEVKIT, remove, f"{DEVKIT} is missing"),
        (TRAIN, cut, "not a complete tar"),
        (VAL, cut, "not a complete tar"),
        (VAL, spoil_header, "damaged behind ILSVRC2012_val_00000002.JPEG"),
        (TRAIN, spoil_header, "damaged behind n01440764_10.JPEG"),
        (DEVKIT, cut, "not the devkit"),
        (DEVKIT, spoil_middle, "not the devkit"),
        (VAL, text, "not a complete tar"),
        (DEVKIT, text, "not the devkit"),
        (DEVKIT, without_meta, "not the devkit"),
        (DEVKIT, unknown_class, "not the devkit"),
        (DEVKIT, other_devkit, "none of the 3 validation images"),
        (TRAIN, flat, "where WNID.tar was expected"),
        (TRAIN, one_class, "which are not the 1 of"),
        (VAL, fewer, "3 images where"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_a_remedy(tars: Path, file: str, damage, words: str) -> None:
    damage(tars / file)
    with pytest.raises(DataError) as caught:
        imagenet(tars)
    message = str(caught.value)
    assert words in message and str(tars) in message and "download" in message and "\n" not in message
