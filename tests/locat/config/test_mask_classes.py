"""Which class a number or colour of a mask is, as users list it."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from locat.config.mask_classes import Listed, label_of, number_classes, read_list
from locat.config.mask_folder import MaskFolder

FOLDERS = {"images": "/data/roads/images/train", "masks": "/data/roads/masks/train"}


def test_a_list_counts_from_0_on() -> None:
    found = number_classes(["sky", "road"])
    assert (found.names, found.labels, found.ignored, found.coloured) == (("sky", "road"), {0: 0, 1: 1}, {255}, False)


def test_a_list_without_zero_counts_from_1_on() -> None:
    found = number_classes(["sky", "road"], ["7"], reduce_zero_label=True)
    assert (found.labels, found.ignored) == ({1: 0, 2: 1}, {0, 7, 255})


def test_numbers_with_one_name_are_one_class_and_255_may_be_one() -> None:
    found = number_classes({"0": "background", "7": "road", "255": "road"}, ["300"])
    assert found.names == ("background", "road")
    assert (found.labels, found.ignored) == ({0: 0, 7: 1, 255: 1}, {300})


def test_colours_are_told_in_three_ways() -> None:
    assert [label_of(text) for text in ("#FF8000", "255, 128, 0", "255 128 0")] == [(0xFF8000, True)] * 3
    found = number_classes({"#ff0000": "road", "0,0,255": "sky"}, ["#000000"])
    assert (found.labels, found.ignored, found.coloured) == ({0xFF0000: 0, 0x0000FF: 1}, {0}, True)


@pytest.mark.parametrize(
    ("listed", "ignore", "message"),
    [
        ([], [], "classes: none is listed"),
        (["a", " "], [], "classes: ' ' is no name"),
        ([f"class {number}" for number in range(255)], [], "classes: 255 of them, where a mask can tell 254 apart"),
        ({"#ff0000": "a", "255,0,0": "b"}, [], "classes: '#ff0000' and '255,0,0' are the same; keep one"),
        ({"7": "a", "07": "b"}, [], "classes: '7' and '07' are the same; keep one"),
        ({"#ff00": "a"}, [], "classes: '#ff00' is neither a number from 0 to 65535 nor a colour"),
        ({"256, 0, 0": "a"}, [], "classes: '256, 0, 0' is neither"),
        ({"#ff0000": "a"}, ["255"], "ignore: numbers, where the classes are told by colours"),
        (["a"], ["#ff0000"], "ignore: colours, where the classes are told by numbers"),
    ],
)
def test_what_contradicts_itself_is_said_in_a_sentence(listed: Listed, ignore: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        number_classes(listed, ignore)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("sky\nroad\n\n", ["sky", "road"]),
        ("3 doors\r\nroad: a name\r\n", ["3 doors", "road: a name"]),
        ("0: sky\n12:\troad works\n", {"0": "sky", "12": "road works"}),
        ("#ff0000: sky\n#00FF00: road", {"#ff0000": "sky", "#00FF00": "road"}),
        ("64 128 64\tAnimal\n192 0 128\t\tArchway\n", {"64 128 64": "Animal", "192 0 128": "Archway"}),
    ],
)
def test_a_file_lists_them_line_by_line(text: str, listed: Listed) -> None:
    assert read_list(text) == listed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sky\n\nroad", "line 2 is empty"),
        ("0: sky\nroad", "line 2 has no `number: name`"),
        ("0: sky\n0: road", "line 2 names 0 again"),
    ],
)
def test_a_file_that_lists_none_is_refused_by_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_list(text)


def test_an_own_set_is_called_by_its_label_or_its_folder() -> None:
    config = {"name": "mask_folder", "train": FOLDERS, "split": {}, "classes": ["a", "b"]}
    assert MaskFolder.model_validate(config).title == "roads"
    assert MaskFolder.model_validate({**config, "label": "Roads 2026"}).title == "Roads 2026"
    assert MaskFolder.model_validate({**config, "classes": "names.txt"}).classes == Path("names.txt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"val": FOLDERS}, "`val` and `split` are both there; remove one"),
        ({"range": [0, 1], "percentiles": [1, 99]}, "`range` and `percentiles` are both there"),
        ({"split": {"val": 1.0}}, "less than 1"),
        ({"percentiles": [1, 101]}, "less than or equal to 100"),
        ({"classes": ""}, "expected a list of names, a mapping"),
        ({"classes": ["a", 5]}, "expected names, got 5; quote what is a name"),
        ({"classes": {"0": None}}, "expected names, got nothing; quote what is a name"),
    ],
)
def test_what_cannot_be_meant_is_refused(change: dict[str, object], message: str) -> None:
    config = {"name": "mask_folder", "train": FOLDERS, "split": {}, "classes": ["a", "b"]}
    with pytest.raises(ValidationError, match=message):
        MaskFolder.model_validate({**config, **change})
