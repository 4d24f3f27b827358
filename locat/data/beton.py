"""FFCV .beton files that are complete and vouched for by a manifest, or not there.

`train.beton` is written under another name, fsynced and renamed; then its manifest
`train.beton.json` says what is inside, with size and digest.
"""

import ctypes
import json
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing import Process, Queue, Value
from pathlib import Path
from queue import Empty
from typing import Any, Protocol

import numpy as np
from ffcv.fields import IntField, NDArrayField, RGBImageField
from ffcv.memory_allocator import MemoryAllocator
from ffcv.writer import DatasetWriter, worker_job_indexed_dataset
from numpy.typing import NDArray

from locat import durable
from locat.errors import DataError
from locat.parent import die_with_parent

FORMAT = 1
POLL_INTERVAL = 0.2  # seconds between two looks at the writer processes

Sample = tuple[NDArray[np.uint8], int, NDArray[np.uint8]]
"""Image (H, W, 3), label, mask (H, W)."""


@dataclass(frozen=True)
class Contents:
    """What a file is asked to hold; equal contents mean an equal file."""

    samples: int
    classes: tuple[str, ...]
    mask_classes: tuple[str, ...]
    image_size: int
    """Height and width of images and masks in pixels."""
    source: str
    seed: int
    options: dict[str, Any]


@dataclass(frozen=True)
class Manifest:
    """What a complete file holds."""

    contents: Contents
    sha256: str
    bytes: int


class Dataset(Protocol):
    """Samples that can be fetched in any order, in several processes."""

    @property
    def contents(self) -> Contents: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Sample: ...


def write(path: Path, dataset: Dataset, workers: int, progress: Callable[[int], None]) -> Manifest:
    """Write `dataset` to `path` with `workers` processes; `progress` gets the samples done.

    Raises:
        DataError: a sample cannot be written, or a writer process died.
    """
    contents = dataset.contents
    shape = (contents.image_size, contents.image_size)
    fields = {
        "image": RGBImageField(write_mode="raw"),
        "label": IntField(),
        "mask": NDArrayField(np.dtype("uint8"), shape),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    temporary.unlink(missing_ok=True)
    try:
        Writer(str(temporary), fields, workers, progress).from_indexed_dataset(dataset)
        durable.sync_file(temporary)
        manifest = Manifest(contents, durable.sha256(temporary), temporary.stat().st_size)
        manifest_path(path).unlink(missing_ok=True)  # an old one must never stand beside the new file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    durable.sync_folder(path.parent)
    durable.write_json(manifest_path(path), {"format": FORMAT, **asdict(manifest)})
    return manifest


def is_current(path: Path, contents: Contents) -> bool:
    """Whether `path` holds exactly `contents` already, by digest."""
    try:
        return verify_manifest(path).contents == contents
    except DataError:
        return False


def open_manifest(path: Path) -> Manifest:
    """The manifest of a file whose size is right.

    Raises:
        DataError: file or manifest are missing, or do not belong together.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; `convert` writes it")
    try:
        values = json.loads(manifest_path(path).read_text())
        version = values.pop("format")
        if version == FORMAT:
            contents = values.pop("contents")
            for key in ("classes", "mask_classes"):
                contents[key] = tuple(contents[key])
            manifest = Manifest(Contents(**contents), **values)
    except FileNotFoundError as error:
        raise DataError(f"{path}: its manifest {manifest_path(path).name} is missing; convert it again") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{manifest_path(path)}: not a manifest ({error!r}); convert {path.name} again") from error
    if version != FORMAT:
        raise DataError(f"{path}: its manifest has format {version}, this version reads {FORMAT}; convert it again")
    size = path.stat().st_size
    if size != manifest.bytes:
        raise DataError(f"{path}: {size} bytes where its manifest says {manifest.bytes}; convert it again")
    return manifest


def verify_manifest(path: Path) -> Manifest:
    """Like `open_manifest`, and the content has the promised digest; reads the whole file.

    Raises:
        DataError: also where the content has been altered.
    """
    manifest = open_manifest(path)
    if durable.sha256(path) != manifest.sha256:
        raise DataError(f"{path}: its content is not what its manifest's digest says; convert it again")
    return manifest


def manifest_path(path: Path) -> Path:
    """Where the manifest of a .beton file lies."""
    return path.with_name(f"{path.name}.json")


class Writer(DatasetWriter):  # type: ignore[misc]
    """FFCV's writer, except that it notices when one of its processes ends before its time."""

    def __init__(self, name: str, fields: dict[str, Any], workers: int, progress: Callable[[int], None]) -> None:
        super().__init__(name, fields, num_workers=workers)
        self.progress = progress

    def _write_common(self, num_samples: int, queue_content: Any, work_fn: Any, extra_worker_args: Any) -> None:
        self.num_samples = num_samples
        self.prepare()
        todo: Queue[Any] = Queue()
        results: Queue[Any] = Queue()
        for item in [*queue_content, *[None] * self.num_workers]:  # None ends one worker
            todo.put(item)
        done = Value(ctypes.c_uint64, 0)
        allocator = MemoryAllocator(self.fname, self.data_region_start, self.page_size)
        shared = (self.metadata_sm, self.metadata_type, self.fields, allocator, done)
        workers = [
            Process(target=encode, args=(results, todo, *shared, results, *extra_worker_args), daemon=True)
            for _ in range(self.num_workers)
        ]
        try:
            for worker in workers:
                worker.start()
            self.finalize(self._allocations(workers, results, done))
        finally:
            for worker in workers:
                worker.kill()
                worker.join()
            todo.cancel_join_thread()  # with work left in it, it would hold up our exit for ever
            self.metadata_sm.close()
            self.metadata_sm.unlink()

    def _allocations(self, workers: list[Process], results: "Queue[Any]", done: Any) -> list[Any]:
        """Wait for every worker's table of (sample, address, size)."""
        tables: list[Any] = []
        while len(tables) < len(workers):
            try:
                result = results.get(timeout=POLL_INTERVAL)
            except Empty:
                # Only a worker with a table in the queue may have ended; an exit code of 0 tells that it has.
                if dead := [worker.exitcode for worker in workers if worker.exitcode]:
                    raise DataError(f"{self.fname}: a writer process ended with code {dead[0]}") from None
            else:
                if isinstance(result, str):
                    raise DataError(f"{self.fname}: cannot be written: {result}")
                tables.append(result)
            # Not `done.value`: a worker killed while it held the lock would block us.
            self.progress(done.get_obj().value)
        return [row for table in tables for row in table]


def encode(results: "Queue[Any]", *arguments: Any) -> None:
    """A writer process: FFCV's own, but it ends with its parent and its exception reaches the parent."""
    die_with_parent(signal.SIGKILL)
    try:
        worker_job_indexed_dataset(*arguments)
    except Exception as error:
        results.put(repr(error))  # a string can always be pickled
