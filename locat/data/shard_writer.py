"""Encoded samples into the shards of a dataset, one after another: a kill costs the shard that was being written.

What is known of each shard that is complete lies with the parts, `shard-<n>.npz`, until the manifest is written.
"""

import io
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from locat.contract import durable
from locat.contract.fence import Fence
from locat.data.datasets.base import Contents
from locat.data.ffcv_format import BYTES
from locat.data.ffcv_writer import fields_of, page_bytes, samples_within, write_samples
from locat.data.parts import Encoded, Parts, Summary
from locat.data.shards import INDEX, Shard, checksum, checksum_of, index_path, shard_path


class Written(NamedTuple):
    """What a manifest says of the shards, the records of all samples beside them."""

    shards: tuple[Shard, ...]
    index_sha256: str


def write_shards(path: Path, parts: Parts, summary: Summary, shard_bytes: int) -> Written:
    """Write the shards that are not there yet into the folder `path`, and the records; nothing else stays in it.

    Raises:
        DataError: a part is missing or damaged.
        OSError: something cannot be written.
        Superseded: a newer attempt of the job has begun.
    """
    if path.is_file():
        path.unlink()
    durable.make_folder(path)
    fields = fields_of(parts.contents)
    counts = list(samples_within(parts.sizes(), shard_bytes, fields, page_bytes(summary.largest)))
    shards = list(_complete(path, parts.folder, counts))
    samples = parts.after(sum(shard.samples for shard in shards))
    for number, count in enumerate(counts[len(shards) :], len(shards)):
        shards.append(_write(path, parts, number, islice(samples, count), summary._replace(samples=count)))
    sha256 = _write_index(path, parts.folder, len(shards))
    expected = {index_path(path), *(shard_path(path, number) for number in range(len(shards)))}
    Fence.here().check()
    for left in set(path.iterdir()) - expected:
        left.unlink()
    durable.sync_folder(path)
    return Written(tuple(shards), sha256)


def _complete(path: Path, folder: Path, counts: list[int]) -> Iterator[Shard]:
    """The first shards, as far as they were written of the same parts and hold as many samples as now."""
    for number, count in enumerate(counts):
        with suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            with np.load(_note(folder, number)) as note:
                shard = Shard(len(note["records"]), int(note["bytes"]), str(note["sha256"]))
            if shard.samples == count and shard_path(path, number).stat().st_size == shard.bytes:
                yield shard
                continue
        return


def _write(path: Path, parts: Parts, number: int, samples: Iterable[Encoded], summary: Summary) -> Shard:
    """Write one shard, and then the note of it."""
    fence, shard = Fence.here(), shard_path(path, number)
    records = np.zeros(summary.samples, INDEX)
    _note(parts.folder, number).unlink(missing_ok=True)
    with fence.replacing(shard) as temporary:
        stored = write_samples(temporary, _noted(samples, records), summary, parts.contents)
        _place(records, stored, parts.contents)
        durable.sync_file(temporary)
        found = Shard(summary.samples, temporary.stat().st_size, durable.sha256(temporary))
    durable.sync_folder(path)
    note = io.BytesIO()
    np.savez(note, records=records, bytes=np.int64(found.bytes), sha256=np.str_(found.sha256))
    fence.check()
    durable.write_bytes(_note(parts.folder, number), note.getvalue())
    return found


def _noted(samples: Iterable[Encoded], records: NDArray[np.void]) -> Iterator[Encoded]:
    """The same samples; into their records goes all that is known of them before they are written."""
    for record, sample in zip(records, samples, strict=True):
        record["bytes"], record["mask_bytes"], record["label"] = len(sample.image), len(sample.mask), sample.label
        record["height"], record["width"] = sample.height, sample.width
        record["mask_checksum"], record["checksum"] = checksum_of(sample.mask), checksum_of(sample.image)
        yield sample


def _place(records: NDArray[np.void], stored: NDArray[np.void], contents: Contents) -> None:
    """Add where the samples lie, by the records of the shard itself, and make the checksums complete."""
    records["address"], records["jpeg"] = stored["f0"]["data_ptr"], contents.storage == "files"
    masks = fields_of(contents)[2:]
    if masks:
        records["mask"] = stored["f2"]["ptr"] if masks[0].kind == BYTES else stored["f2"]
    for record in records:
        record["checksum"] = checksum(record, int(record["checksum"]))


def _write_index(path: Path, folder: Path, shards: int) -> str:
    """Write the records of all shards one after another, and say their digest."""
    with Fence.here().replacing(index_path(path)) as temporary:
        with temporary.open("wb") as file:
            for number in range(shards):
                with np.load(_note(folder, number)) as note:
                    file.write(note["records"].tobytes())
        durable.sync_file(temporary)
        return durable.sha256(temporary)


def _note(folder: Path, number: int) -> Path:
    """Where it is noted that a shard is complete."""
    return folder / f"shard-{number}.npz"
