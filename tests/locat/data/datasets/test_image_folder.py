"""Folders of images, right and wrong."""

from pathlib import Path

import pytest

from locat.contract.errors import DataError
from locat.data.datasets.image_folder import image_folder, image_folders
from support.pictures import jpeg, write_jpeg, write_tree


def test_classes_and_images_are_those_of_torchvision(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    write_tree(tmp_path, ["b", "a", "C"])
    write_jpeg(tmp_path / "a" / "deep" / "er" / "x.jpg", 7)
    write_jpeg(tmp_path / "a" / "UPPER.JPG", 8)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "README").write_text("no class")
    ours, theirs = image_folder(tmp_path), ImageFolder(tmp_path)
    assert list(ours.classes) == theirs.classes
    expected = {(str(Path(path).relative_to(tmp_path)), label) for path, label in theirs.samples}
    assert {(file.name, file.label) for file in ours.files} == expected
    assert len(ours) == ours.contents.samples == len(theirs)
    labels = [file.label for file in ours.files]
    assert labels == sorted(labels)


def test_a_sample_is_the_content_of_its_file(tmp_path: Path) -> None:
    files = image_folder(write_tree(tmp_path, ["a", "b"]))
    assert [tuple(files[index]) for index in (3, 0)] == [(jpeg(3), 1, None), (jpeg(0), 0, None)]
    assert files.name(3) == "b/b_1.JPEG"


def test_the_contents_tell_changed_files(tmp_path: Path) -> None:
    before = image_folder(write_tree(tmp_path, ["a", "b"])).contents
    assert image_folder(tmp_path).contents == before
    with (tmp_path / "a" / "a_0.JPEG").open("ab") as file:
        file.write(b"x")
    assert image_folder(tmp_path).contents != before


def test_a_file_that_vanishes_or_shrinks_is_an_error_that_names_it(tmp_path: Path) -> None:
    files = image_folder(write_tree(tmp_path, ["a"]))
    (tmp_path / "a" / "a_0.JPEG").unlink()
    (tmp_path / "a" / "a_1.JPEG").write_bytes(b"")
    for index, words in enumerate((r"a_0\.JPEG: cannot be read", r"a_1\.JPEG: it became shorter")):
        with pytest.raises(DataError, match=words):
            files[index]


@pytest.mark.parametrize(
    ("train", "val", "words"),
    [
        (None, ["a"], "no such folder"),
        ([], ["a"], "holds no folders"),
        (["a", "b"], ["a"], "b only in"),
        (["a"], ["a", "b", "c", "d", "e"], "b, c, d and 1 more only in"),
    ],
)
def test_wrong_folders_are_one_sentence(tmp_path: Path, train: list[str] | None, val: list[str], words: str) -> None:
    if train is not None:
        (tmp_path / "train").mkdir()
        write_tree(tmp_path / "train", train)
    write_tree(tmp_path / "val", val)
    with pytest.raises(DataError, match=words) as caught:
        image_folders(tmp_path / "train", tmp_path / "val")
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    write_tree(tmp_path, ["a", "b"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("")
    with pytest.raises(DataError, match=r"no images \(.*\) of empty; add some"):
        image_folder(tmp_path)
