"""Files that are complete, or not there: written, verified, damaged, killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from locat.data import beton
from locat.data.beton import Contents, Sample
from locat.data.digits import DigitScenes
from locat.errors import DataError


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
    assert json.loads(beton.manifest_path(train_beton).read_text())["format"] == 1
    assert sorted(path.name for path in train_beton.parent.iterdir()) == ["train.beton", "train.beton.json"]


def test_only_the_same_contents_are_current(scenes: DigitScenes, copy: Path) -> None:
    assert beton.is_current(copy, scenes.contents)
    assert not beton.is_current(copy, replace(scenes.contents, seed=1))
    assert not beton.is_current(copy.with_name("other.beton"), scenes.contents)
    flip_byte(copy)
    assert not beton.is_current(copy, scenes.contents)


def test_writing_again_gives_the_same_file_and_tells_its_progress(scenes: DigitScenes, copy: Path) -> None:
    calls: list[int] = []
    first = beton.open_manifest(copy)
    assert beton.write(copy, scenes, 1, calls.append) == first
    assert calls[-1] == 50


def test_two_writers_hold_the_same_samples(scenes: DigitScenes, tmp_path: Path) -> None:
    beton.write(tmp_path / "two.beton", scenes, 2, silent)
    assert beton.verify_manifest(tmp_path / "two.beton").contents == scenes.contents


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
    beton.manifest_path(path).write_text('{"format": 1, "bytes"')


def strip_manifest(path: Path) -> None:
    beton.manifest_path(path).write_text('{"format": 1, "bytes": 7, "sha256": ""}')


def list_as_manifest(path: Path) -> None:
    beton.manifest_path(path).write_text("[]")


def future_manifest(path: Path) -> None:
    beton.manifest_path(path).write_text('{"format": 2}')


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
        (future_manifest, "format 2"),
    ],
)
def test_damage_is_one_sentence_that_names_the_file(copy: Path, damage, words: str) -> None:
    damage(copy)
    with pytest.raises(DataError) as caught:
        beton.verify_manifest(copy)
    message = str(caught.value)
    assert words in message and str(copy) in message and "\n" not in message


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("fault", "words"), [("dies", "ended with code -9"), ("raises", "no picture")])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_writer_process_that_fails_is_an_error_and_leaves_nothing(
    tmp_path: Path, fault: str, words: str, workers: int
) -> None:
    with pytest.raises(DataError, match=words):
        beton.write(tmp_path / "train.beton", Broken(fault), workers, silent)
    assert list(tmp_path.iterdir()) == []


WRITE = """
import sys
from pathlib import Path
from locat.data import beton
from locat.data.digits import DigitScenes

beton.write(Path(sys.argv[1]), DigitScenes("train", 20_000), 2, lambda done: print(done, flush=True))
"""


@pytest.mark.timeout(240)
def test_killed_while_writing_leaves_no_file_under_the_final_name_and_no_process(tmp_path: Path) -> None:
    path = tmp_path / "train.beton"
    writer = subprocess.Popen([sys.executable, "-c", WRITE, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) >= 300:
            break
    writer.kill()
    writer.wait()
    assert not path.exists() and not beton.manifest_path(path).exists()
    partial = tmp_path / ".train.beton.partial"
    size = partial.stat().st_size
    time.sleep(1.5)
    assert partial.stat().st_size == size  # the workers ended with their parent
    with pytest.raises(DataError, match="no such file"):
        beton.open_manifest(path)

    small = DigitScenes("train", 20, image_size=32)
    beton.write(path, small, 1, silent)
    assert beton.is_current(path, small.contents)
    assert not partial.exists()


FAIL = """
import sys
from pathlib import Path
from locat.data import beton
from locat.data.digits import DigitScenes

class Broken(DigitScenes):
    def __getitem__(self, index):
        raise ValueError("no picture")

beton.write(Path(sys.argv[1]), Broken("train", 20_000), 2, lambda done: None)
"""


def test_a_process_that_could_not_write_ends_with_much_work_left(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FAIL, str(tmp_path / "train.beton")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 1
    assert "DataError" in ended.stderr.splitlines()[-1] and "no picture" in ended.stderr


def test_killed_between_file_and_manifest_is_noticed(scenes: DigitScenes, copy: Path, monkeypatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(beton.durable, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        beton.write(copy, scenes, 1, silent)
    with pytest.raises(DataError, match="manifest"):
        beton.open_manifest(copy)
