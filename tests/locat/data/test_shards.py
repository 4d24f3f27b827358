"""Datasets of many files: written in any number of shards, killed, damaged, with very many of them."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from locat.contract import durable
from locat.contract.errors import DataError
from locat.data import beton, ffcv_writer, shard_writer
from locat.data.datasets.base import Contents
from locat.data.datasets.digits import DigitScenes
from locat.data.datasets.image_folder import image_folder
from locat.data.ffcv_format import ALLOCATION, read_tables
from locat.data.ffcv_writer import fields_of, page_bytes, samples_within
from locat.data.loader import Loader
from locat.data.open_files import OpenFiles
from locat.data.overlap import in_both
from locat.data.parts import Parts
from locat.data.reader import ReadSettings
from locat.data.sharded import Sharded
from locat.data.shards import INDEX, Shard, digest_of, index_path, shard_path
from locat.data.views import CentreCrop, RandomResizedCrop, View
from locat.predict.pictures import named
from support import pictures

PAGE = 1 << 14
CROP = RandomResizedCrop(16, (0.2, 1.0))


def silent(done: int) -> None:
    pass


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffcv_writer, "PAGE_SIZE", PAGE)


@pytest.fixture
def shards(scenes: DigitScenes, tmp_path: Path) -> Path:
    """50 scenes of 32 x 32 pixels with masks, four in a page."""
    path = tmp_path / "train.beton"
    beton.write(path, scenes, 1, silent, shard_bytes=4 * PAGE)
    assert len(beton.verify_manifest(path).shards) == 7
    return path


@pytest.fixture
def photographs(tmp_path: Path) -> Callable[[int], Path]:
    """JPEG files of several sizes as a dataset, in shards of so many bytes."""
    pictures.write_tree(tmp_path / "tree", ["x", "y"], images=10)

    def written(shard_bytes: int) -> Path:
        path = tmp_path / f"{shard_bytes}.beton"
        beton.write(path, image_folder(tmp_path / "tree"), 1, silent, shard_bytes=shard_bytes)
        return path

    return written


def digest(loader: Loader) -> str:
    """Of two epochs."""
    found = hashlib.sha256()
    for (batch, after), _ in zip(loader.stream(), range(2 * loader.batches_per_epoch), strict=False):
        for tensor in (*batch.views, batch.target, batch.index):
            found.update(tensor.contiguous().numpy().tobytes())
        found.update(str(after).encode())
    return found.hexdigest()


@pytest.mark.parametrize("target", ["label", "mask"])
@pytest.mark.parametrize("train", [True, False])
def test_shards_give_the_batches_of_one_file(shards: Path, train_beton: Path, target, train: bool) -> None:
    for settings in (ReadSettings(12, seed=3, threads=2), ReadSettings(12, seed=3, rank=1, world_size=3)):
        one, many = (Loader(path, settings, train=train, target=target) for path in (train_beton, shards))
        assert digest(one) == digest(many)


@pytest.mark.parametrize("views", [(CROP, RandomResizedCrop(8, (0.05, 0.4))), (CentreCrop(16),)])
def test_shards_of_jpegs_give_the_batches_of_one_file(
    photographs: Callable[[int], Path], views: tuple[View, ...]
) -> None:
    one, many = photographs(0), photographs(2 * PAGE)
    assert one.is_file() and len(beton.open_manifest(many).shards) > 4
    settings = ReadSettings(6, seed=1, threads=2)
    assert digest(Loader(one, settings, views=views, train=True)) == digest(
        Loader(many, settings, views=views, train=True)
    )
    assert in_both(one, many) == list(range(20))
    assert [np.asarray(each.open(upright=False).image).tobytes() for each in named([str(one)])] == [
        np.asarray(each.open(upright=False).image).tobytes() for each in named([str(many)])
    ]


def test_a_manifest_is_of_one_file_as_it_was_before_there_were_shards(train_beton: Path) -> None:
    keys = ["format", "contents", "sha256", "bytes", "quarantined", "done", "in_train", "pixels", "ignored_pixels"]
    assert list(json.loads(beton.manifest_path(train_beton).read_text())) == keys


def test_each_shard_is_a_whole_file_within_its_size(shards: Path, train_beton: Path) -> None:
    manifest, whole = beton.open_manifest(shards), beton.open_manifest(train_beton)
    assert (manifest.contents, manifest.pixels) == (whole.contents, whole.pixels)
    for number, shard in enumerate(manifest.shards):
        path = shard_path(shards, number)
        assert path.stat().st_size == shard.bytes <= 4 * PAGE
        assert len(read_tables(path).samples) == shard.samples
    assert sorted(path.name for path in shards.iterdir()) == [
        *(f"0000{number}.beton" for number in range(7)),
        "samples.index",
    ]
    assert not list(shards.parent.glob(".*"))


@given(st.lists(st.integers(1, PAGE), min_size=1, max_size=60), st.integers(1, 12))
def test_files_are_as_large_as_they_may_be(sizes: list[int], pages: int) -> None:
    contents = Contents(len(sizes), ("a",), (), None, "x", 0, {})
    fields, most, page_size = fields_of(contents), pages * PAGE, page_bytes(max(sizes))
    counts = list(samples_within(sizes, most, fields, page_size))
    assert sum(counts) == len(sizes) and min(counts) >= 1

    def bytes_of(first: int, count: int) -> int:
        used = held = 0
        for size in sizes[first : first + count]:
            held, used = (held + 1, size) if not held or used + size > page_size else (held, used + size)
        tables = ffcv_writer.tables_bytes(fields, count, page_size)
        return tables + held * page_size + count * ALLOCATION.itemsize

    first = 0
    for count in counts:
        assert count == 1 or bytes_of(first, count) <= most
        assert first + count == len(sizes) or bytes_of(first, count + 1) > most
        first += count


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.data())
def test_a_sample_is_found_in_its_shard(counts: list[int], data: st.DataObject) -> None:
    sharded = object.__new__(Sharded)
    sharded._ends = np.cumsum(counts)
    samples = data.draw(st.lists(st.integers(0, sum(counts) - 1), max_size=30))
    expected = [number for number, count in enumerate(counts) for _ in range(count)]
    assert sharded.shards_of(np.array(samples, np.int64)).tolist() == [expected[sample] for sample in samples]


def damage(shards: Path, how: str) -> str:
    """Spoil shard 3, and say what the message is to tell of it."""
    path, manifest = shard_path(shards, 3), beton.manifest_path(shards)
    match how:
        case "missing":
            path.unlink()
            return "00003.beton: is missing"
        case "truncated":
            os.truncate(path, path.stat().st_size - 1)
            return r"00003.beton: has \d+ bytes where its manifest says"
        case "exchanged":
            other = shard_path(shards, 1)
            assert other.stat().st_size == path.stat().st_size
            shutil.copy(other, path)
            return r"00003.beton: sample \d+: its content is not what was written"
        case "damaged":
            address = int(read_tables(path).column("image")["data_ptr"][0])
            content = bytearray(path.read_bytes())
            content[address + 100] ^= 1
            path.write_bytes(content)
            return r"00003.beton: sample \d+: its content is not what was written"
        case "index":
            os.truncate(index_path(shards), 3 * INDEX.itemsize)
            return "samples.index: .* bytes where"
        case "a record":
            with index_path(shards).open("r+b") as file:
                file.write(b"\1")
            return r"00000.beton: sample 0"
        case "an empty record":
            with index_path(shards).open("r+b") as file:
                file.write(bytes(INDEX.itemsize))
            return r"samples.index: says nothing of sample 0"
        case "manifest":
            values = json.loads(manifest.read_text())
            values["shards"][0][2] = values["shards"][1][2]
            manifest.write_text(json.dumps(values))
            return "train.beton.json: its shards are not"
    raise AssertionError


@pytest.mark.parametrize(
    "how", ["missing", "truncated", "exchanged", "damaged", "index", "a record", "an empty record", "manifest"]
)
def test_a_shard_that_is_not_what_was_written_is_named(scenes: DigitScenes, tmp_path: Path, how: str) -> None:
    path = tmp_path / "runs" / "r1" / "jobs" / "images" / "outputs" / "train.beton"
    path.parent.mkdir(parents=True)
    beton.write(path, scenes, 1, silent, shard_bytes=4 * PAGE)
    words = damage(path, how)
    with pytest.raises(DataError, match=f"{words}.*convert it again .job images of run r1") as caught:
        digest(Loader(path, ReadSettings(12)))
    assert caught.value.exit_code == 2
    with pytest.raises(DataError):
        beton.verify_manifest(path)
    beton.write(path, scenes, 1, silent, shard_bytes=4 * PAGE)
    beton.verify_manifest(path)


@pytest.mark.parametrize("before, after", [(0, 4 * PAGE), (4 * PAGE, 0), (4 * PAGE, 6 * PAGE)])
def test_a_dataset_may_change_into_other_files(scenes: DigitScenes, tmp_path: Path, before: int, after: int) -> None:
    path = tmp_path / "train.beton"
    beton.write(path, scenes, 1, silent, shard_bytes=before)
    manifest = beton.write(path, scenes, 1, silent, shard_bytes=after)
    assert beton.verify_manifest(path) == manifest and manifest.shard_bytes == after
    assert sorted(file.name for file in tmp_path.iterdir()) == ["train.beton", "train.beton.json"]
    assert path.is_file() or len(list(path.iterdir())) == len(manifest.shards) + 1


def test_killed_anywhere_it_goes_on_to_the_same_files(shards: Path, scenes: DigitScenes, tmp_path: Path) -> None:
    """Each time it is killed one durable step later than the time before."""
    path = tmp_path / "killed" / "train.beton"
    path.parent.mkdir()
    parts = Parts(path.with_name(".train.beton.parts"), scenes, beton.DEFAULT_ENCODING)
    parts.encode(1, silent)
    for allowed in range(100):
        if not (pid := os.fork()):
            put_together_until(allowed, path, parts)
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if not ended:
            break
        assert ended == 9
        with pytest.raises(DataError, match=r"no such file|its manifest train.beton.json is missing"):
            beton.open_manifest(path)
    assert allowed > 7

    def files(path: Path) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in (*path.iterdir(), beton.manifest_path(path))}

    assert files(path) == files(shards)


def put_together_until(allowed: int, path: Path, parts: Parts) -> NoReturn:
    """End this process at the durable step that comes after so many."""
    try:
        left = iter(range(allowed))

        def counted(step: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *arguments: step(*arguments) if next(left, None) is not None else os._exit(9)

        for name in ("write_bytes", "sync_file", "sync_folder", "sha256"):
            setattr(durable, name, counted(getattr(durable, name)))
        beton.put_together(path, parts, 0.0, shard_bytes=4 * PAGE)
        os._exit(0)
    finally:
        os._exit(1)


def test_shards_that_are_complete_are_not_written_again(
    scenes: DigitScenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, written = tmp_path / "train.beton", []
    write = shard_writer._write

    def counted(path: Path, parts, number: int, *arguments) -> Shard:
        written.append(number)
        if written == [0, 1, 2, 3]:
            raise OSError("no room")
        return write(path, parts, number, *arguments)

    monkeypatch.setattr(shard_writer, "_write", counted)
    with pytest.raises(Exception, match="no room"):
        beton.write(path, scenes, 1, silent, shard_bytes=4 * PAGE)
    beton.write(path, scenes, 1, silent, shard_bytes=4 * PAGE)
    assert written == [0, 1, 2, 3, 3, 4, 5, 6]
    beton.verify_manifest(path)


@pytest.fixture
def very_many(shards: Path) -> Path:
    """A manifest of 100,000 shards, of which the first seven are there."""
    manifest = json.loads(beton.manifest_path(shards).read_text())
    many = [Shard._make(shard) for shard in manifest["shards"]]
    many += [many[0]._replace(sha256=f"{number:064}") for number in range(100_000 - len(many))]
    count = manifest["contents"]["samples"] = sum(shard.samples for shard in many)
    beton.manifest_path(shards).write_text(json.dumps({**manifest, "shards": many, "sha256": digest_of(many)}))
    records = np.fromfile(index_path(shards), INDEX)
    np.resize(records, count).tofile(index_path(shards))
    return shards


def test_of_very_many_shards_none_is_looked_at_before_it_is_read(very_many: Path) -> None:
    looked_at: list[str] = []
    sys.addaudithook(lambda event, arguments: looked_at.append(str(arguments[0])) if event == "open" else None)
    loader = Loader(very_many, ReadSettings(8))
    batch, _ = next(loader.batches())
    opened = [Path(name).name for name in looked_at if name.endswith((".beton", ".index", ".beton.json"))]
    assert opened[:2] == ["train.beton.json", "samples.index"]
    assert set(opened[2:]) <= {"00000.beton", "00001.beton", "00002.beton", "00003.beton"}
    assert batch.index.tolist() == list(range(8))
    with pytest.raises(DataError, match=r"\d{5}.beton: is missing"):
        next(Loader(very_many, ReadSettings(8), train=True, views=(CROP,)).batches())


def test_few_files_are_open_at_a_time(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / str(number)).write_text(str(number))
    files = OpenFiles(lambda number: os.open(tmp_path / str(number), os.O_RDONLY), most=4)
    for number in [*range(40), *range(40)]:
        with files.reading(number) as file, files.reading(0) as first:
            assert os.pread(file, 9, 0) == str(number).encode() and os.pread(first, 9, 0) == b"0"
        assert len(files) <= 4
    with files.reading(1) as one, files.reading(1) as same:
        assert one == same
