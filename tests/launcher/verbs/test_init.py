"""`launcher init`: a pipeline for images of one's own; tests/test_tutorial.py runs it."""

import resource
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from launcher import interpreter
from launcher.cli import cli
from launcher.language.load import load
from support.documents import ROOT
from support.pictures import write_jpeg, write_tree


def init(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["init", *map(str, arguments)])


def images(folder: Path, classes: int = 3) -> Path:
    names = [f"class {number}" for number in range(classes)]
    for split in ("train", "val"):
        write_tree(folder / split, names, images=2)
    return folder


def test_it_says_where_the_images_are_and_how_many_classes_they_have(tmp_path: Path) -> None:
    folder = images(tmp_path / "my: #own ${images}")
    answer = init(tmp_path / "Flowers 102.yaml", "--images", folder)
    assert answer.exit_code == 0, answer.output
    pipeline = load(tmp_path / "Flowers 102.yaml")
    assert pipeline.name == "flowers-102"
    dataset = pipeline.jobs["convert"].config["dataset"]
    assert dataset["train"] == str(folder / "train").replace("${", "$${")
    assert pipeline.jobs["pretrain"].config["model"]["args"]["num_classes"] == 3


def test_without_images_it_says_what_is_left_to_write(tmp_path: Path) -> None:
    answer = init(tmp_path)
    assert "/path/to/images" in answer.output and "num_classes" in answer.output
    assert "/path/to/images/train" in (tmp_path / "pipeline.yaml").read_text()
    assert load(tmp_path / "pipeline.yaml").name == "pipeline"


def test_what_exists_is_never_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "pipeline.yaml"
    mine.write_text("mine")
    answer = init(tmp_path)
    assert (answer.exit_code, answer.output) == (2, f"{mine}: exists; name another file\n")
    assert mine.read_text() == "mine"
    assert init(mine / "p.yaml").output == f"{mine}: exists; name another file\n"


def test_what_cannot_be_written_whole_is_not_there(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        answer = init(tmp_path / "p.yaml")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (answer.exit_code, answer.output) == (2, f"{tmp_path}/p.yaml: cannot be written: File too large\n")
    assert not (tmp_path / "p.yaml").exists()


def test_an_example_is_the_pipeline_that_is_shipped_and_its_commands_name_the_copy(tmp_path: Path) -> None:
    copy = tmp_path / "my digits.yaml"
    answer = init(copy, "--example", "digits")
    assert answer.exit_code == 0 and "num_classes" not in answer.output
    shipped = ROOT / "pipelines" / "digits.yaml"
    assert f"launcher submit '{copy}' --watch" in copy.read_text()
    assert yaml.safe_load(copy.read_text()) == yaml.safe_load(shipped.read_text())
    assert init(copy, "--example", "dino").output == f"{copy}: exists; name another file\n"


@pytest.mark.parametrize("name", ["digit", "../digits", ""])
def test_an_example_that_is_not_there_lists_all(tmp_path: Path, name: str) -> None:
    answer = init(tmp_path / "p.yaml", "--example", name)
    known = ", ".join(sorted(path.stem for path in (ROOT / "pipelines").glob("*.yaml")))
    assert answer.exit_code == 2 and f"--example {name}: there are {known}" in answer.output
    assert not (tmp_path / "p.yaml").exists()
    assert "leave --images and --masks out" in init("--example", "digits", "--images", tmp_path).output


@pytest.mark.parametrize("name", ["102", "_", "a" * 80, "Ä.b"])
def test_any_file_name_makes_a_valid_pipeline(tmp_path: Path, name: str) -> None:
    assert init(tmp_path / f"{name}.yaml").exit_code == 0
    load(tmp_path / f"{name}.yaml")


def test_hidden_folders_are_no_classes(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_tree(tmp_path / "images" / split, ["a", "b"])
    write_tree(tmp_path / "images" / "train", [".ipynb_checkpoints", "@eaDir"])
    assert init(tmp_path / "p.yaml", "--images", tmp_path / "images").exit_code == 0
    assert "num_classes: 2" in (tmp_path / "p.yaml").read_text()


def test_images_that_are_laid_out_otherwise_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "images" / "train", ["a", "b"]).parent
    answer = init(tmp_path / "p.yaml", "--images", folder)
    assert answer.exit_code == 2 and "holds no val/" in answer.output
    write_tree(folder / "val", ["a"])
    answer = init(tmp_path / "p.yaml", "--images", folder)
    assert answer.exit_code == 2 and "2 classes in train/ and 1 in val/" in answer.output
    assert not (tmp_path / "p.yaml").exists()


def masked(folder: Path, mask: Image.Image, *parts: str, count: int = 4) -> tuple[object, ...]:
    """Images of 40 x 30 pixels with this mask, in these folders; what says so to `init`."""
    for part in parts or ("",):
        for number in range(count):
            write_jpeg(folder / "images" / part / f"{number}.jpg", number)
            path = folder / "masks" / part / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            mask.save(path)
    return ("--images", folder / "images", "--masks", folder / "masks")


def numbers(*labels: int) -> Image.Image:
    return Image.fromarray(np.resize(np.array(labels, np.uint8), (30, 40)))


def test_with_masks_it_says_where_they_are_and_which_classes_they_have(tmp_path: Path) -> None:
    folders = masked(tmp_path / "my: #own ${scenes}", numbers(0, 2, 255))
    answer = init(tmp_path / "scenes.yaml", *folders)
    assert answer.exit_code == 0, answer.output
    pipeline = load(tmp_path / "scenes.yaml")
    dataset = pipeline.jobs["convert"].config["dataset"]
    assert dataset["train"]["masks"] == str(folders[3]).replace("${", "$${")
    assert dataset["classes"] == {"0": "class 0", "2": "class 2"} and dataset["split"] == {"val": 0.1, "seed": 0}
    assert pipeline.jobs["pretrain"].config["batch_size"] == 2  # of 4 images one is held out


def test_two_folders_of_each_are_two_splits(tmp_path: Path) -> None:
    folders = masked(tmp_path, numbers(0, 255), "train", "val", count=1)
    assert init(tmp_path / "p.yaml", *folders).exit_code == 0
    dataset = load(tmp_path / "p.yaml").jobs["convert"].config["dataset"]
    assert dataset["val"] == {name: str(tmp_path / name / "val") for name in ("images", "masks")}
    assert "split" not in dataset and dataset["classes"] == {"0": "background", "255": "foreground"}


def test_colours_are_classes_as_well(tmp_path: Path) -> None:
    mask = Image.new("RGB", (40, 30), (255, 128, 0))
    mask.putpixel((0, 0), (0, 0, 0))
    assert init(tmp_path / "p.yaml", *masked(tmp_path, mask)).exit_code == 0
    dataset = load(tmp_path / "p.yaml").jobs["convert"].config["dataset"]
    assert dataset["classes"] == {"#000000": "class 000000", "#ff8000": "class ff8000"}


def test_as_many_classes_as_can_be_stored_are_listed_and_no_more(tmp_path: Path) -> None:
    folders = masked(tmp_path, numbers(*range(254), 255))
    assert init(tmp_path / "p.yaml", *folders).exit_code == 0
    assert len(load(tmp_path / "p.yaml").jobs["convert"].config["dataset"]["classes"]) == 254
    masked(tmp_path, numbers(*range(256)))
    answer = init(tmp_path / "q.yaml", *folders)
    assert answer.exit_code == 2 and "more than 254 numbers are in the masks" in answer.output


def test_a_survey_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = [sys.executable, "-c", "raise MemoryError('all of it')"]
    monkeypatch.setattr(interpreter, "module", lambda *_: failing)
    answer = init(tmp_path / "p.yaml", *masked(tmp_path, numbers(0, 1)))
    assert "MemoryError: all of it" in str(answer.exception)


def test_masks_that_are_no_classes_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    soft = np.arange(1200).reshape(30, 40).astype(np.uint16)
    folders = masked(tmp_path, Image.fromarray(soft))
    answer = init(tmp_path / "p.yaml", *folders)
    assert answer.exit_code == 2 and "more than 254 numbers are in the masks" in answer.output
    (tmp_path / "masks" / "3.png").unlink()
    answer = init(tmp_path / "p.yaml", *folders)
    assert answer.exit_code == 2 and "1 images have no mask (3.jpg)" in answer.output
    assert len(answer.output.splitlines()) == 1
    assert init(tmp_path / "p.yaml", *folders[2:]).output.startswith("--masks needs --images")
    assert not (tmp_path / "p.yaml").exists()
