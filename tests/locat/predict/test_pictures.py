"""Which pictures words name, and how each is opened."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from locat.contract.errors import DataError
from locat.data import beton
from locat.data.datasets.digits import DigitScenes
from locat.data.datasets.image_folder import image_folder
from locat.data.intake.pictures import Undecodable
from locat.predict.pictures import FilePicture, decode, named
from support import pictures


def names(found: list, root: Path) -> list[str]:
    return [f"{Path(each.name).relative_to(root)} {each.place}" for each in found]


def test_folders_globs_and_files_name_pictures_in_their_order(photos: Path) -> None:
    (photos / "notes.txt").write_text("not taken from a folder")
    assert names(named([str(photos)]), photos) == ["a.jpg a", "b.jpg b", "c.png c", "trip/d.jpg trip/d"]
    words = [str(photos / "trip" / "d.jpg"), str(photos / "[ab].*"), str(photos / "**" / "d.jpg")]
    assert names(named(words), photos) == ["trip/d.jpg d", "a.jpg a", "b.jpg b", "trip/d.jpg d"]
    assert names(named([str(photos / "**")]), photos) == ["a.jpg a", "b.jpg b", "c.png c", "trip/d.jpg trip/d"]
    (photos / "notes.txt").unlink()
    assert names(named([str(photos / "**" / "*")]), photos) == ["a.jpg a", "b.jpg b", "c.png c", "trip/d.jpg d"]
    (photos / "[1].jpg").write_bytes(b"")
    assert names(named([str(photos / "[1].jpg")]), photos) == ["[1].jpg [1]"]


def test_folders_that_are_written_to_are_not_searched_within_others(photos: Path) -> None:
    outputs = [photos / "trip", photos / "masks"]
    assert names(named([str(photos)], outputs), photos) == ["a.jpg a", "b.jpg b", "c.png c"]
    assert names(named([str(photos / "trip")], outputs), photos) == ["trip/d.jpg d"]


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("nowhere.jpg", "no such file or folder"),
        ("*.jpg", "nothing matches"),
        ("empty", "holds no images"),
        ("x.beton", "its manifest x.beton.json is missing"),
    ],
)
def test_words_that_name_nothing(word: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.beton").write_bytes(b"")
    with pytest.raises(DataError, match=words):
        named([str(tmp_path / word)])


def test_samples_of_a_beton_file_are_pictures(tmp_path: Path) -> None:
    scenes = DigitScenes("train", 3, image_size=32)
    beton.write(tmp_path / "scenes.beton", scenes, 1, lambda done: None)
    found = named([str(tmp_path / "scenes.beton")])
    assert [str(each.place) for each in found] == [f"scenes/00000{number}" for number in range(3)]
    assert found[2].name == f"{tmp_path / 'scenes.beton'}#2"
    assert np.array_equal(np.asarray(found[2].open(upright=False).image), scenes[2].image)
    pictures.write_tree(tmp_path / "tree", ["x"], images=1)
    beton.write(tmp_path / "files.beton", image_folder(tmp_path / "tree"), 1, lambda done: None)
    (stored,) = named([str(tmp_path / "files.beton")])
    content = (tmp_path / "tree" / "x" / "x_0.JPEG").read_bytes()
    assert np.array_equal(
        np.asarray(stored.open(upright=False).image), np.asarray(decode(content, upright=False).image)
    )


def test_orientation_is_applied_if_asked_and_damaged_exif_is_not_minded() -> None:
    picture = pictures.picture(6, 4)
    half, quarter = picture.transpose(Image.Transpose.ROTATE_180), picture.rotate(-90, expand=True)
    for number, turned in ((1, picture), (3, half), (6, quarter)):
        exif = Image.Exif()
        exif[274] = number
        content = pictures.encoded(picture, "PNG", exif=exif)
        for upright, expected in ((True, turned), (False, picture)):
            image, left = decode(content, upright)
            assert (image.size, image.tobytes()) == (expected.size, expected.tobytes())
            assert left == (number != 1 and not upright)
    image, left = decode(pictures.encoded(picture, "PNG", exif=b"nonsense"), upright=True)
    assert image.tobytes() == picture.tobytes() and not left


def test_sixteen_bits_are_brought_to_eight_and_what_is_no_file_is_refused(tmp_path: Path) -> None:
    deep = pictures.encoded(Image.fromarray(np.array([[0, 256, 65535]], np.uint16)), "PNG")
    assert np.asarray(decode(deep, upright=False).image)[0, :, 0].tolist() == [0, 1, 255]
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match="named pipe"):
        FilePicture.at(tmp_path / "pipe.jpg").open(upright=False)
    with pytest.raises(Undecodable):
        decode(pictures.jpeg()[:300], upright=False)
