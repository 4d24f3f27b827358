"""mini-ImageNet of five classes in its three csv files."""

import os
from pathlib import Path

import pytest

from locat.contract.errors import DataError
from locat.data.datasets.mini_imagenet import mini_imagenet
from support.pictures import jpeg, write_jpeg

CSV_CLASSES = {"train.csv": ["n3", "n1", "n5"], "val.csv": ["n2"], "test.csv": ["n4"]}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    seed = 0
    for file, labels in CSV_CLASSES.items():
        lines = ["filename,label"]
        for label in labels:
            for image in (5, 0, 3, 1, 2, 4):  # the csv's order, which is not that of the names
                write_jpeg(tmp_path / "images" / f"{label}_{image}.jpg", seed)
                lines.append(f"{label}_{image}.jpg,{label}")
                seed += 1
        (tmp_path / file).write_text("\r\n".join(lines) + "\r\n")
    return tmp_path


def small(source: Path):
    return mini_imagenet(source, classes=5, images_per_class=6)


def test_each_class_of_all_three_files_is_split_in_the_order_of_its_csv(source: Path) -> None:
    train, val = small(source).values()
    assert train.classes == val.classes == ("n1", "n2", "n3", "n4", "n5")
    for number, label in enumerate(train.classes):
        assert [file.name for file in train.files if file.label == number] == [
            f"images/{label}_{image}.jpg" for image in (5, 0, 3, 1, 2)
        ]
        assert [file.name for file in val.files if file.label == number] == [f"images/{label}_4.jpg"]
    assert train[train.files.index(next(file for file in train.files if "n3_5" in file.name))].image == jpeg(0)
    assert (train.contents.samples, val.contents.samples) == (25, 5)
    assert train.contents != val.contents


def test_the_official_set_has_a_hundred_classes(source: Path) -> None:
    with pytest.raises(DataError, match="hold 5 classes, not 100; download"):
        mini_imagenet(source)
    with pytest.raises(DataError, match="6 images of n3 in 6 lines, where mini-ImageNet has 600"):
        mini_imagenet(source, classes=5)


def replace(source: Path, old: str, new: str) -> None:
    path = source / "train.csv"
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda source: (source / "test.csv").unlink(), "test.csv: no such file; expected train.csv, val.csv"),
        (lambda source: replace(source, "filename,label", "file,class"), "its columns are"),
        (lambda source: replace(source, "n3_0.jpg,n3", "n3_5.jpg,n3"), "5 images of n3 in 6 lines"),
        (lambda source: replace(source, "n3_0.jpg,n3", "n3_0.jpg,n1"), "images of n3 in 5 lines"),
        (lambda source: (source / "images" / "n2_4.jpg").unlink(), "n2_4.jpg: listed in a csv file, but missing"),
        (lambda source: (source / "val.csv").write_bytes(b"\xff\xfe\0"), "cannot be read as csv"),
        (lambda source: replace(source, "n3_0.jpg,n3", "n3_0.jpg"), "without a filename or a label"),
    ],
)
def test_what_is_wrong_is_one_sentence(source: Path, damage, words: str) -> None:
    damage(source)
    with pytest.raises(DataError) as caught:
        small(source)
    assert words in str(caught.value) and str(source) in str(caught.value) and "\n" not in str(caught.value)


def test_a_csv_of_a_spreadsheet_is_the_same(source: Path) -> None:
    """With a mark of its byte order, and with line ends of any system."""
    before = [split.contents for split in small(source).values()]
    text = (source / "train.csv").read_bytes().replace(b"\r\n", b"\n")
    for mark in (b"", b"\xef\xbb\xbf"):
        for end in (b"\n", b"\r\n", b"\r"):
            (source / "train.csv").write_bytes(mark + text.replace(b"\n", end))
            assert [split.contents for split in small(source).values()] == before


@pytest.mark.timeout(20)
def test_a_pipe_in_a_csv_is_named(source: Path) -> None:
    (source / "images" / "n2_4.jpg").unlink()
    os.mkfifo(source / "images" / "n2_4.jpg")
    with pytest.raises(DataError, match=r"n2_4\.jpg: is a named pipe"):
        small(source)


@pytest.mark.parametrize("elsewhere", ["../secret.jpg", "sub/../../secret.jpg", "{}/secret.jpg"])
def test_a_csv_takes_no_image_from_elsewhere(source: Path, elsewhere: str) -> None:
    write_jpeg(source / "secret.jpg", 7)
    listed = source / "val.csv"
    listed.write_text(listed.read_text().replace("n2_5.jpg", elsewhere.format(source)))
    with pytest.raises(DataError, match="lists it, and it lies elsewhere"):
        small(source)
