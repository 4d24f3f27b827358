"""`launcher init`: a pipeline for images of one's own; tests/test_tutorial.py runs it."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from launcher.cli import cli
from launcher.language.load import load
from support.pictures import write_tree


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
