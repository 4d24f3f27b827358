"""Files that are complete, or not there: written, verified, damaged, killed."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from locat.contract.errors import DataError, JobError
from locat.data import beton
from locat.data.datasets.base import Contents, Sample
from locat.data.datasets.digits import DigitScenes
from locat.data.encode import Encoding
from locat.data.intake.pictures import MOST_PIXELS
from locat.data.parts import Parts
from support.pictures import jpeg


def silent(done: int) -> None:
    pass


class Broken:
    """Scenes of which number 150 does something else."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.scenes = DigitScenes("train", 200, image_size=32)

    @property
    def contents(self) -> Contents:
        return self.scenes.contents

    def __len__(self) -> int:
        return len(self.scenes)

    def name(self, index: int) -> str:
        return self.scenes.name(index)

    def __getitem__(self, index: int) -> Sample:
        if index == 150:
            if self.fault == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("no picture")
        return self.scenes[index]


@pytest.fixture
def copy(train_beton: Path, tmp_path: Path) -> Path:
    """A file of one's own to damage."""
    path = tmp_path / "train.beton"
    shutil.copy(train_beton, path)
    shutil.copy(beton.manifest_path(train_beton), beton.manifest_path(path))
    return path


def test_manifest_says_what_is_inside(scenes: DigitScenes, train_beton: Path) -> None:
    manifest = beton.verify_manifest(train_beton)
    assert manifest.contents == scenes.contents
    assert manifest.bytes == train_beton.stat().st_size
    assert json.loads(beton.manifest_path(train_beton).read_text())["format"] == 2
    assert sorted(path.name for path in train_beton.parent.iterdir()) == ["train.beton", "train.beton.json"]


def test_only_the_same_contents_are_current(scenes: DigitScenes, copy: Path) -> None:
    assert beton.current(copy, scenes.contents) == beton.open_manifest(copy)
    assert beton.current(copy, replace(scenes.contents, seed=1)) is None
    assert beton.current(copy.with_name("other.beton"), scenes.contents) is None
    flip_byte(copy)
    assert beton.current(copy, scenes.contents) is None


def test_a_current_file_is_not_written_again(scenes: DigitScenes, copy: Path) -> None:
    before = copy.stat()
    leftover = copy.with_name(".train.beton.parts")  # of a conversion killed when all but this was done
    leftover.mkdir()
    calls: list[int] = []
    assert beton.write(copy, scenes, 1, calls.append) == beton.open_manifest(copy)
    assert (copy.stat().st_ino, copy.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert calls == [50]
    assert not leftover.exists()


def test_writing_again_gives_the_same_file_and_tells_its_progress(scenes: DigitScenes, copy: Path) -> None:
    calls: list[int] = []
    first = beton.open_manifest(copy)
    copy.unlink()
    assert beton.write(copy, scenes, 1, calls.append) == first
    assert calls[0] == 0 and calls[-1] == 50


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip_byte(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-2000, os.SEEK_END)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def remove(path: Path) -> None:
    path.unlink()


def remove_manifest(path: Path) -> None:
    beton.manifest_path(path).unlink()


def spoil_manifest(path: Path) -> None:
    beton.manifest_path(path).write_text('{"format": 2, "bytes"')


def strip_manifest(path: Path) -> None:
    beton.manifest_path(path).write_text('{"format": 2, "bytes": 7, "sha256": ""}')


def list_as_manifest(path: Path) -> None:
    beton.manifest_path(path).write_text("[]")


def future_manifest(path: Path) -> None:
    beton.manifest_path(path).write_text('{"format": 4}')


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (remove, "no such file"),
        (remove_manifest, "train.beton.json is missing"),
        (truncate, "bytes where its manifest says"),
        (flip_byte, "digest"),
        (spoil_manifest, "not a manifest"),
        (strip_manifest, "not a manifest"),
        (list_as_manifest, "not a manifest"),
        (future_manifest, "format 4"),
    ],
)
def test_damage_is_one_sentence_that_names_the_file(copy: Path, damage, words: str) -> None:
    damage(copy)
    with pytest.raises(DataError) as caught:
        beton.verify_manifest(copy)
    message = str(caught.value)
    assert words in message and str(copy) in message and "\n" not in message


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("fault", "words"), [("dies", "was killed"), ("raises", "no picture")])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_process_that_fails_is_an_error_and_leaves_no_file(
    tmp_path: Path, fault: str, words: str, workers: int
) -> None:
    with pytest.raises(JobError, match=words):
        beton.write(tmp_path / "train.beton", Broken(fault), workers, silent)
    assert [path.name for path in tmp_path.iterdir()] == [".train.beton.parts"]


FAIL = """
import sys
from pathlib import Path
from locat.data import beton
from locat.data.datasets.digits import DigitScenes

class Broken(DigitScenes):
    def __getitem__(self, index):
        raise ValueError("no picture")

beton.write(Path(sys.argv[1]), Broken("train", 20_000), 2, lambda done: None)
"""


@pytest.mark.slow
def test_a_process_that_could_not_write_ends_with_much_work_left(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FAIL, str(tmp_path / "train.beton")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 1
    assert "JobError" in ended.stderr.splitlines()[-1] and "no picture" in ended.stderr


def test_killed_between_file_and_manifest_is_noticed(scenes: DigitScenes, copy: Path, monkeypatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    beton.manifest_path(copy).unlink()
    monkeypatch.setattr(beton.durable, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        beton.write(copy, scenes, 1, silent)
    with pytest.raises(DataError, match="manifest"):
        beton.open_manifest(copy)


@pytest.mark.parametrize("step", ["sync_file", "sha256", "sync_folder", "write_json"])
def test_stopped_at_any_step_after_the_parts_it_goes_on_to_the_same_file(
    scenes: DigitScenes, train_beton: Path, tmp_path: Path, monkeypatch, step: str
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "train.beton"
    Parts(tmp_path / ".train.beton.parts", scenes, Encoding()).encode(1, silent)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(beton.durable, step, stopped)
        beton.write(path, scenes, 1, silent)
    with pytest.raises(DataError):
        beton.open_manifest(path)
    (tmp_path / ".train.beton.partial").write_text("what a kill leaves")
    calls: list[int] = []
    assert beton.write(path, scenes, 1, calls.append) == beton.open_manifest(train_beton)
    assert calls[0] == 50  # nothing was encoded again
    assert sorted(file.name for file in tmp_path.iterdir()) == ["train.beton", "train.beton.json"]


def test_a_full_disk_is_an_error_and_no_file(scenes: DigitScenes, tmp_path: Path) -> None:
    path = tmp_path / "train.beton"
    Parts(tmp_path / ".train.beton.parts", scenes, Encoding()).encode(1, silent)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9 * 2**20, before[1]))  # one page of FFCV's and a half of the next
    try:
        with pytest.raises(JobError, match="cannot be written"):
            beton.write(path, scenes, 1, silent)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [file.name for file in tmp_path.iterdir()] == [".train.beton.parts"]


class Files:
    """Image files in memory, some of them no images."""

    def __init__(self, good: int, bad: int) -> None:
        self.files = [jpeg(seed) for seed in range(good)] + [b"text"] * bad

    @property
    def contents(self) -> Contents:
        return Contents(len(self.files), ("only",), (), None, "memory", 0, {})

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        return Sample(self.files[index], 0)

    def name(self, index: int) -> str:
        return f"only/{index}.jpg"


def test_bad_images_up_to_the_threshold_are_left_out_and_listed(tmp_path: Path) -> None:
    path = tmp_path / "train.beton"
    manifest = beton.write(path, Files(8, 2), 1, silent, most_bad=0.2)
    assert manifest.contents.samples == 8
    assert [entry.file for entry in manifest.quarantined] == ["only/8.jpg", "only/9.jpg"]
    assert manifest.quarantined[0].reason == "not an image"
    assert beton.open_manifest(path) == manifest
    contents = Parts(tmp_path, Files(8, 2), Encoding()).contents
    assert beton.current(path, contents, most_bad=0.2) == manifest
    assert beton.current(path, contents, most_bad=0.1) is None


def test_more_bad_images_are_an_error_that_counts_and_lists_them(tmp_path: Path) -> None:
    path = tmp_path / "train.beton"
    with pytest.raises(DataError) as caught:
        beton.write(path, Files(6, 4), 1, silent, most_bad=0.3)
    message = str(caught.value)
    for words in (str(path), "4 of 10", "40.000%", "30.000%", "only/6.jpg: not an image", "train.beton.bad.json"):
        assert words in message
    assert "only/9.jpg" not in message and "\n" not in message
    listed = json.loads(beton.bad_path(path).read_text())
    assert [entry["file"] for entry in listed] == [f"only/{number}.jpg" for number in range(6, 10)]
    assert not path.exists() and not beton.manifest_path(path).exists()

    assert beton.write(path, Files(6, 4), 1, silent, most_bad=0.4).contents.samples == 6
    assert sorted(file.name for file in tmp_path.iterdir()) == ["train.beton", "train.beton.json"]


def test_no_image_at_all_is_an_error_at_any_threshold(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="3 of 3 images"):
        beton.write(tmp_path / "train.beton", Files(0, 3), 1, silent, most_bad=1.0)


def test_another_encoding_is_another_file(tmp_path: Path) -> None:
    path = tmp_path / "train.beton"
    manifests = [
        beton.write(path, Files(3, 0), 1, silent, encoding)
        for encoding in (Encoding(), Encoding(shorter_side=20), Encoding(shorter_side=20, jpeg_quality=50))
    ]
    assert len({manifest.sha256 for manifest in manifests}) == 3
    assert manifests[1].contents.options == {"shorter_side": 20, "jpeg_quality": 95, "most_pixels": MOST_PIXELS}
