"""The convert job on small datasets."""

import logging
from pathlib import Path

import pytest

from locat.config import ConvertConfig
from locat.contract.errors import ConfigError, DataError
from locat.contract.job_folder import JobFolder
from locat.data import beton
from locat.tasks.convert import convert
from support.pictures import write_jpeg, write_tree


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_tree(tmp_path / "train", ["cat", "dog"], images=4)
    write_tree(tmp_path / "val", ["cat", "dog"], images=1)
    return tmp_path


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    folder = JobFolder(tmp_path / "job")
    folder.path.mkdir()
    return folder


def folders(source: Path, **values: object) -> ConvertConfig:
    dataset = {"name": "image_folder", "train": source / "train", "val": source / "val"}
    return ConvertConfig.model_validate({"task": "convert", "dataset": dataset, "workers": 2, **values})


def identities(job: JobFolder) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in job.outputs.iterdir()}


def test_both_splits_are_written_and_stay_while_nothing_changes(source: Path, job: JobFolder) -> None:
    convert(folders(source), job)
    train, val = (beton.verify_manifest(job.outputs / name).contents for name in ("train.beton", "val.beton"))
    assert (train.samples, val.samples) == (8, 2)
    assert train.classes == val.classes == ("cat", "dog")
    assert train.image_size is None and train.mask_classes == ()
    assert train.source == source.name
    first = identities(job)
    assert sorted(first) == ["train.beton", "train.beton.json", "val.beton", "val.beton.json"]

    convert(folders(source, workers=1), job)
    assert identities(job) == first

    write_jpeg(source / "val" / "dog" / "another.jpg", 9)
    convert(folders(source), job)
    changed = {name for name, identity in identities(job).items() if identity != first[name]}
    assert changed == {"val.beton", "val.beton.json"}


def test_another_setting_writes_both_again(source: Path, job: JobFolder) -> None:
    convert(folders(source), job)
    first = identities(job)
    convert(folders(source, shorter_side=16), job)
    assert all(identity != first[name] for name, identity in identities(job).items())


def test_a_bad_image_fails_the_job_or_is_left_out(source: Path, job: JobFolder, caplog) -> None:
    (source / "train" / "cat" / "cat_0.JPEG").write_text("not found")
    with pytest.raises(DataError, match=r"1 of 8 images .*cat/cat_0\.JPEG: not an image"):
        convert(folders(source), job)
    with caplog.at_level(logging.WARNING):
        convert(folders(source, most_bad=0.125), job)
    manifest = beton.open_manifest(job.outputs / "train.beton")
    assert manifest.contents.samples == 7
    assert [entry.file for entry in manifest.quarantined] == ["cat/cat_0.JPEG"]
    assert "left out cat/cat_0.JPEG: not an image" in caplog.text


def test_images_of_one_size_cannot_shrink(job: JobFolder) -> None:
    config = ConvertConfig.model_validate({"task": "convert", "dataset": {"name": "digits"}, "shorter_side": 32})
    with pytest.raises(ConfigError, match="shorter_side: the images of digits are stored in their own size"):
        convert(config, job)


@pytest.mark.parametrize("name", ["imagenet", "mini_imagenet", "cifar100"])
def test_a_source_that_is_not_there_is_the_users_to_mend(name: str, tmp_path: Path, job: JobFolder) -> None:
    config = ConvertConfig.model_validate(
        {"task": "convert", "dataset": {"name": name, "source": tmp_path / "nowhere"}}
    )
    with pytest.raises(DataError, match=r"nowhere.*(download|expected)"):
        convert(config, job)
