"""Parts of a dataset: the same for any number of processes and kills, and never made twice."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from locat.contract.errors import DataError
from locat.data import beton
from locat.data.datasets.base import Sample
from locat.data.datasets.digits import DigitScenes
from locat.data.encode import Encoding
from locat.data.parts import PART_SIZE, Parts

COUNT = 7 * PART_SIZE + 5


def silent(done: int) -> None:
    pass


def scenes(count: int = COUNT) -> DigitScenes:
    return DigitScenes("train", count, image_size=32)


def finished(folder: Path) -> set[int]:
    return {int(path.stem) for path in folder.glob("[0-9]*.npz")}


class Remaining(DigitScenes):
    """The same scenes, but only of the parts that were not finished."""

    done: set[int]

    def __getitem__(self, index: int) -> Sample:
        assert index // PART_SIZE not in self.done, f"sample {index} was encoded already"
        return super().__getitem__(index)


WRITE = f"""
import sys
from pathlib import Path
from locat.data import beton
from locat.data.datasets.digits import DigitScenes

beton.write(Path(sys.argv[1]), DigitScenes("train", {COUNT}, image_size=32), 2, lambda done: print(done, flush=True))
"""


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    whole = beton.write(tmp_path / "whole.beton", scenes(), 1, silent)

    path = tmp_path / "train.beton"
    folder = tmp_path / ".train.beton.parts"
    writer = subprocess.Popen([sys.executable, "-c", WRITE, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) >= 2 * PART_SIZE:
            break
    writer.send_signal(signal.SIGKILL)
    # Its workers hold the other end too: the end of the file says that they are gone as well.
    writer.stdout.read()
    writer.wait()
    done = finished(folder)
    assert 2 <= len(done) < 8
    assert not path.exists() and not beton.manifest_path(path).exists()
    with pytest.raises(DataError, match="no such file"):
        beton.open_manifest(path)

    remaining = Remaining("train", COUNT, image_size=32)
    remaining.done = done
    calls: list[int] = []
    resumed = beton.write(path, remaining, 2, calls.append)
    assert calls[0] >= 2 * PART_SIZE and calls[-1] == COUNT
    assert resumed == whole
    assert path.read_bytes() == (tmp_path / "whole.beton").read_bytes()
    assert not folder.exists()


def test_a_second_call_makes_only_what_is_missing(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "parts", scenes(3 * PART_SIZE), Encoding())
    parts.encode(2, silent)
    before = [sample.image.tobytes() for sample in parts]
    (parts.folder / "1.npz").unlink()
    remaining = Remaining("train", 3 * PART_SIZE, image_size=32)
    remaining.done = {0, 2}
    calls: list[int] = []
    Parts(parts.folder, remaining, Encoding()).encode(2, calls.append)
    assert calls == [2 * PART_SIZE, 3 * PART_SIZE]
    assert [sample.image.tobytes() for sample in parts] == before


def test_parts_of_something_else_are_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    Parts(folder, scenes(10), Encoding()).encode(1, silent)
    other = DigitScenes("train", 10, image_size=32, seed=1)
    parts = Parts(folder, other, Encoding())
    parts.encode(1, silent)
    assert [sample.label for sample in parts] == [other[index].label for index in range(10)]
    assert next(iter(parts)).image.tobytes() == bytes(other[0].image)


def test_a_damaged_part_is_an_error_and_made_anew_by_the_next_run(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "parts", scenes(10), Encoding())
    parts.encode(1, silent)
    part = parts.folder / "0.npz"
    content = part.read_bytes()
    part.write_bytes(content[:2000] + bytes([content[2000] ^ 1]) + content[2001:])
    with pytest.raises(DataError, match=r"0\.npz: this part is damaged"):
        list(parts)
    parts.encode(1, silent)
    assert part.read_bytes() == content


def test_no_sample_is_lost_or_moved_at_the_parts_ends(tmp_path: Path) -> None:
    dataset = scenes(PART_SIZE + 1)
    parts = Parts(tmp_path / "parts", dataset, Encoding())
    parts.encode(2, silent)
    summary = parts.summary()
    assert summary[:-1] == (PART_SIZE + 1, 32 * 32 * 4, (), (), {})
    masks = np.stack([dataset[index].mask for index in range(len(dataset))])
    assert summary.pixels == tuple((masks == number).sum() for number in range(256))
    for number, sample in enumerate(parts):
        expected = dataset[number]
        assert (sample.label, sample.height, sample.width) == (expected.label, 32, 32)
        if number in (0, PART_SIZE - 1, PART_SIZE):
            assert sample.image.tobytes() == bytes(expected.image)
            assert sample.mask.tobytes() == bytes(expected.mask)


def test_contents_of_image_files_include_their_encoding(tmp_path: Path) -> None:
    class Files(DigitScenes):
        @property
        def contents(self):
            return replace(super().contents, image_size=None, mask_classes=(), options={"files": "x"})

    encoding = Encoding(shorter_side=100, jpeg_quality=80, most_pixels=9)
    parts = Parts(tmp_path, Files("train", 3, image_size=32), encoding)
    assert parts.contents.options == {"files": "x", "shorter_side": 100, "jpeg_quality": 80, "most_pixels": 9}
    assert Parts(tmp_path, scenes(3), Encoding(jpeg_quality=80)).contents == scenes(3).contents
