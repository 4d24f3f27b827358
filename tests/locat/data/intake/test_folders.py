"""What a source folder holds, with links, hidden entries and what is no file in it."""

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from locat.contract.errors import DataError
from locat.data.datasets.base import ImageFiles
from locat.data.datasets.image_folder import image_folder, image_folders
from locat.data.intake.folders import files_below, files_in
from support.pictures import jpeg, write_jpeg, write_tree

ENDINGS = (".jpeg", ".png")


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "train", ["a", "b"], images=3)


@pytest.fixture
def val(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "val", ["a", "b"], images=2)


def names(root: Path, **options: Path) -> list[str]:
    return sorted(file.name for file in files_below(root, ENDINGS, **options).files)


def left_out(root: Path, **options: Path) -> dict[str, str]:
    return {entry.name: entry.reason for entry in files_below(root, ENDINGS, **options).left_out}


OWN = [f"{name}/{name}_{image}.JPEG" for name in "ab" for image in range(3)]


@pytest.mark.parametrize(
    ("link", "target", "reason"),
    [
        ("a/again", ".", "a link back"),
        ("a/again", "..", "a link back"),
        ("a/again", "../..", "a link back"),
        ("again", ".", "a link back"),
        ("a/again", "../b", "the same as b"),
        ("a/again.png", "../b/b_0.JPEG", "the same as b/b_0.JPEG"),
        ("a/again.png", "a_0.JPEG", "the same as a/a_0.JPEG"),
        ("a/again", "again", "a link to nothing"),
        ("a/gone", "nowhere", "a link to nothing"),
        ("a/more", "../../val/a", "a link into the other split"),
        ("a/more.png", "../../val/a/a_0.JPEG", "a link into the other split"),
    ],
)
def test_a_file_is_found_once_wherever_links_lead(train: Path, val: Path, link: str, target: str, reason: str) -> None:
    (train / link).symlink_to(target)
    assert names(train, other=val) == OWN
    assert left_out(train, other=val).keys() == {link}
    assert left_out(train, other=val)[link].startswith(reason)


def test_two_links_that_lead_back_end(train: Path) -> None:
    (train / "a" / "one").symlink_to(".")
    (train / "a" / "two").symlink_to("..")
    (train / "b" / "one").symlink_to("../a")
    assert names(train) == OWN


def test_a_hard_link_is_the_same_file_and_a_copy_is_another(train: Path) -> None:
    os.link(train / "a" / "a_0.JPEG", train / "b" / "linked.JPEG")
    (train / "b" / "copy.JPEG").write_bytes((train / "a" / "a_0.JPEG").read_bytes())
    assert names(train) == sorted([*OWN, "b/copy.JPEG"])
    assert left_out(train) == {"b/linked.JPEG": "the same as a/a_0.JPEG"}


def test_a_split_made_of_links_is_read(train: Path, tmp_path: Path) -> None:
    """Links to files, to folders, and chains of them, as people split a pool of images."""
    pool = train.rename(tmp_path / "pool")
    (tmp_path / "train" / "a").mkdir(parents=True)
    for file in (pool / "a").iterdir():
        (tmp_path / "train" / "a" / file.name).symlink_to(file)
    (tmp_path / "by" / "way").mkdir(parents=True)
    (tmp_path / "by" / "way" / "of").symlink_to(pool / "b")
    (tmp_path / "train" / "b").symlink_to("../by/way/of")
    found = image_folder(tmp_path / "train")
    assert [file.name for file in found.files] == OWN
    assert [found[index].image for index in range(6)] == [jpeg(seed) for seed in range(6)]
    assert left_out(tmp_path / "train") == {}


def test_the_same_folder_may_be_both_splits(train: Path) -> None:
    assert [len(split) for split in image_folders(train, train).values()] == [6, 6]


HIDDEN = [".ipynb_checkpoints", ".thumbnails", ".git", "@eaDir", "__MACOSX", "$RECYCLE.BIN", "lost+found"]


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("where", ["", "a"])
def test_hidden_folders_are_no_classes_and_are_told(train: Path, val: Path, name: str, where: str, caplog) -> None:
    for split in (train, val):
        write_jpeg(split / where / name / "a_0.JPEG")
    with caplog.at_level(logging.WARNING):
        splits = image_folders(train, val)
    assert [split.classes for split in splits.values()] == [("a", "b")] * 2
    assert [len(split) for split in splits.values()] == [6, 4]
    assert f"left out {os.path.join(where, name)}: hidden, or a system's own" in caplog.text


@pytest.mark.parametrize("name", ["._a_0.png", ".a.png", "Thumbs.db", "desktop.ini", ".DS_Store", "THUMBS.DB"])
def test_hidden_files_are_told(train: Path, name: str) -> None:
    (train / "a" / name).write_bytes(b"\0")
    assert names(train) == OWN
    assert left_out(train) == {f"a/{name}": "hidden, or a system's own"}


def test_other_endings_and_images_beside_the_classes_are_told(train: Path, caplog) -> None:
    for name in ("a/x.gif", "a/y.gif", "b/notes.txt", "b/none"):
        (train / name).write_text("")
    write_jpeg(train / "beside.JPEG")
    with caplog.at_level(logging.INFO):
        assert len(image_folder(train)) == 6
    assert "files of other endings are left out: 1 with none, 2 .gif, 1 .txt" in caplog.text
    assert "1 images lie beside the folders of the classes" in caplog.text


def pipe(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's address is short
        server.bind(path.name)
        os.chdir(here)


def link_to_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (pipe, "is a named pipe"),
        (unix_socket, "is a socket"),
        (link_to_device, "is a device"),
        (dangling, "a link to nothing (No such file or directory)"),
    ],
)
def test_what_is_no_file_is_named_at_once(train: Path, make: Callable[[Path], None], words: str) -> None:
    make(train / "a" / "p.png")
    with pytest.raises(DataError) as caught:
        image_folder(train)
    assert f"{train}/a/p.png: {words}" in str(caught.value) and "remove it" in str(caught.value)
    (train / "a" / "p.png").rename(train / "a" / "p.other")
    assert len(image_folder(train)) == 6


@pytest.mark.timeout(20)
def test_a_pipe_that_takes_the_place_of_a_file_is_named(train: Path) -> None:
    files = image_folder(train)
    (train / "a" / "a_0.JPEG").unlink()
    os.mkfifo(train / "a" / "a_0.JPEG")
    with pytest.raises(DataError, match=r"a_0\.JPEG: is a named pipe"):
        files[0]


@contextmanager
def nobody() -> Iterator[None]:
    """For the body this process is no root, whom nothing is denied."""
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(os.getuid())


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o100], ids=oct)
def test_an_unreadable_folder_is_named(mode: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # nobody may enter pytest's own
        root = Path(folder)
        root.chmod(0o755)
        hidden = write_tree(root / "train", ["a", "b"]) / "a" / "deep"
        hidden.mkdir()
        write_jpeg(hidden / "x.JPEG")
        hidden.chmod(mode)
        try:
            with nobody(), pytest.raises(DataError, match=r"a/deep.*: cannot be read \(Permission denied\); make it"):
                image_folder(root / "train")
        finally:
            hidden.chmod(0o755)


def test_a_file_that_vanishes_while_it_is_listed_is_named(train: Path, monkeypatch) -> None:
    true = os.stat

    def stat(path: str, **options: bool) -> os.stat_result:
        if str(path).endswith("b_1.JPEG"):
            raise FileNotFoundError(2, "No such file or directory")
        return true(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(DataError, match=r"b_1\.JPEG: cannot be read .*run again when nothing writes"):
        image_folder(train)


def test_numbers_given_twice_by_a_network_drive_do_not_cost_a_file(train: Path, monkeypatch) -> None:
    true = os.stat

    def stat(path: str, **options: bool) -> os.stat_result:
        found = true(path, **options)
        if not str(path).endswith("JPEG"):
            return found
        return os.stat_result((found.st_mode, 1, *found[2:10]), {"st_mtime_ns": found.st_mtime_ns})

    monkeypatch.setattr(os, "stat", stat)
    assert len(files_below(train, ENDINGS).files) == 6


def test_a_folder_of_masks_may_hold_one_file_twice(tmp_path: Path) -> None:
    write_jpeg(tmp_path / "one.JPEG")
    (tmp_path / "two.JPEG").symlink_to("one.JPEG")
    os.link(tmp_path / "one.JPEG", tmp_path / "three.jpeg")
    (tmp_path / "deep").mkdir()
    assert sorted(file.name for file in files_in(tmp_path, (".jpeg",)).files) == ["one.JPEG", "three.jpeg", "two.JPEG"]


def test_the_order_is_that_of_the_paths_within_each_class(train: Path) -> None:
    for name in ("a/B.png", "a/z/1.png", "a/z.png", "a/é.png"):
        write_jpeg(train / name)
    (train / "a" / "y").symlink_to(write_tree(train.parent / "pool", ["p"]) / "p")
    found: ImageFiles = image_folder(train)
    paths = [file.path for file in found.files if file.label == 0]
    assert paths == sorted(paths) and len(paths) == 9
