"""The convert job on small datasets."""

import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from locat.config import ConvertConfig
from locat.contract.errors import ConfigError, DataError
from locat.contract.job_folder import JobFolder
from locat.data import beton
from locat.data.overlap import in_both
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


def test_images_in_both_splits_are_counted_and_told(source: Path, job: JobFolder, caplog) -> None:
    for seed, name in enumerate(("cat/cat_0.JPEG", "dog/dog_0.JPEG")):
        write_jpeg(source / "val" / name, 50 + seed)
    copied = (source / "train" / "cat" / "cat_2.JPEG").read_bytes()
    (source / "val" / "dog" / "copied.jpg").write_bytes(copied)
    (source / "val" / "dog" / "bad.jpg").write_text("no image")
    warning = "1 of the evaluation images are training images as well, byte for byte, such as dog/copied.jpg"
    with caplog.at_level(logging.WARNING):
        convert(folders(source, most_bad=0.5), job)
    assert warning in caplog.text
    path = job.outputs / "val.beton"
    found = beton.open_manifest(path).in_train
    assert found is not None and (found.images, found.examples) == (1, ("dog/copied.jpg",))
    assert found.train == beton.open_manifest(job.outputs / "train.beton").sha256

    first = identities(job)
    caplog.clear()
    convert(folders(source, most_bad=0.5), job)
    assert identities(job) == first and warning in caplog.text

    (source / "train" / "cat" / "cat_2.JPEG").unlink()
    caplog.clear()
    convert(folders(source, most_bad=0.5), job)
    found = beton.open_manifest(path).in_train
    assert found is not None and found.images == 0 and "training images as well" not in caplog.text


def test_images_of_one_size_are_compared_too(job: JobFolder) -> None:
    dataset = {"name": "digits", "train_scenes": 20, "val_scenes": 5, "image_size": 32}
    convert(ConvertConfig.model_validate({"task": "convert", "dataset": dataset}), job)
    found = beton.open_manifest(job.outputs / "val.beton").in_train
    assert found is not None and found.images == 0
    assert in_both(job.outputs / "train.beton", job.outputs / "train.beton") == list(range(20))


def test_what_was_done_to_images_is_told_once(source: Path, job: JobFolder, caplog) -> None:
    for name in "xyz":
        Image.fromarray(np.full((9, 9), 40_000, np.uint16)).save(source / "train" / "cat" / f"{name}.png")
    with caplog.at_level(logging.WARNING):
        convert(folders(source), job)
    lines = [record.getMessage() for record in caplog.records if "upper 8" in record.getMessage()]
    assert len(lines) == 1 and "train.beton: 3 images: more than 8 bits per channel: the upper 8 are kept" in lines[0]


def test_a_file_of_an_older_version_is_made_anew(source: Path, job: JobFolder) -> None:
    """It may hold what that version misread."""
    convert(folders(source), job)
    path = job.outputs / "train.beton"
    before = beton.open_manifest(path)
    values = json.loads(beton.manifest_path(path).read_text())
    del values["contents"]["options"]["most_pixels"], values["done"], values["in_train"]
    beton.manifest_path(path).write_text(json.dumps(values))
    assert beton.open_manifest(path).sha256 == before.sha256  # it can be trained on
    inode = path.stat().st_ino
    convert(folders(source), job)
    assert beton.open_manifest(path) == before and path.stat().st_ino != inode


@pytest.mark.timeout(60)
def test_a_pipe_among_the_images_is_named(source: Path, job: JobFolder) -> None:
    os.mkfifo(source / "train" / "cat" / "p.png")
    with pytest.raises(DataError, match=r"train/cat/p\.png: is a named pipe"):
        convert(folders(source), job)


def test_a_large_picture_passes_where_the_limit_allows_it(source: Path, job: JobFolder) -> None:
    with pytest.raises(DataError, match=r"cat_0\.JPEG: 40 x 30 pixels; most_pixels allows 1000"):
        convert(folders(source, most_pixels=1000), job)
    convert(folders(source, most_pixels=1200), job)
