"""A dataset encoded in parts by several processes; each part is complete or not there, so a kill loses little.

`.train.beton.parts/` holds `contents.json`, which says what the parts are of, and `<n>.npz` with the samples
from `n` * PART_SIZE on. It takes as much room as the .beton file that is made of it.
"""

import io
import json
import multiprocessing
import os
import shutil
import signal
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from locat.contract import durable
from locat.contract.errors import DataError, JobError, Superseded, UserError
from locat.contract.fence import Fence
from locat.data.datasets.base import Contents, Dataset
from locat.data.encode import Encoding, encode
from locat.data.intake.pictures import Undecodable, opened
from locat.data.intake.stalls import LOOK, NOTHING, Desks
from locat.parent import die_with_parent

FORMAT = 3
"""Raise when the same contents are encoded or laid out otherwise."""
PART_SIZE = 512  # samples
READ_TIMEOUT = 300.0  # seconds

SAMPLE = np.dtype(
    [("label", "<i8"), ("height", "<i8"), ("width", "<i8"), ("image_bytes", "<i8"), ("mask_bytes", "<i8")]
)


@dataclass(frozen=True)
class Quarantined:
    """A file that is left out."""

    file: str
    reason: str


class Summary(NamedTuple):
    """What the parts hold together."""

    samples: int
    largest: int
    """Bytes of the largest image and mask together."""
    quarantined: tuple[Quarantined, ...]
    emptied: tuple[int, ...]
    """Labels of which every image is quarantined."""
    done: dict[str, int]
    """What was done to images beyond encoding them, and to how many."""
    pixels: tuple[int, ...]
    """How many pixels of the masks have each number, 0 to 255."""


class Encoded(NamedTuple):
    """One sample as it will be stored."""

    image: NDArray[np.uint8]
    """Bytes of a JPEG, or pixels; flat."""
    height: int
    width: int
    label: int
    mask: NDArray[np.uint8]
    """Bytes of a PNG, or pixels; flat, and empty where there is none."""


@dataclass(frozen=True)
class Parts:
    """The parts of one .beton file."""

    folder: Path
    dataset: Dataset
    encoding: Encoding

    @property
    def contents(self) -> Contents:
        """What the file would hold if every image were good."""
        return wanted(self.dataset, self.encoding)

    def encode(self, workers: int, progress: Callable[[int], None], read_timeout: float = READ_TIMEOUT) -> None:
        """Make the parts that are missing; `progress` gets the samples done in all.

        A sample may take `read_timeout` seconds.

        Raises:
            DataError: a sample cannot be read.
            JobError: a part cannot be written, a process died, or a sample took too long.
        """
        self._prepare()
        missing = [number for number in self._numbers() if not self._path(number).exists()]
        done = len(self.dataset) - sum(len(self._samples(number)) for number in missing)
        progress(done)
        if not missing:
            return
        # Forked: all share the memory of the dataset, and none spends seconds on imports.
        fork = multiprocessing.get_context("fork")
        workers = min(workers, len(missing))
        desks = Desks(fork, workers)
        pool = ProcessPoolExecutor(workers, fork, start_worker, (self, desks))
        try:
            left: set[Future[int]] = {pool.submit(encode_part, number) for number in missing}
            while left:
                finished, left = wait(left, LOOK, FIRST_COMPLETED)
                for future in finished:
                    done += future.result()
                    progress(done)
                desks.look(read_timeout, self.dataset.name)
        except BrokenProcessPool as error:
            raise JobError(
                f"{self.folder}: a process that encoded images was killed, perhaps for want of memory; "
                "run again with fewer workers to go on"
            ) from error
        except (UserError, JobError, Superseded):
            raise
        except Exception as error:
            raise JobError(f"{self.folder}: cannot be written: {error!r}") from error
        finally:
            pool.shutdown(cancel_futures=True)

    def encode_part(self, number: int, begin: Callable[[int], None]) -> int:
        """Make one part, and say of how many samples; `begin` hears of each when it begins."""
        samples, images, masks, quarantined, done = [], [], [], [], Counter[str]()
        pixels = np.zeros(256, np.int64)
        for index in self._samples(number):
            begin(index)
            image, label, mask = self.dataset[index]
            try:
                jpeg = encode(image, self.encoding) if isinstance(image, bytes) else as_pixels(image)
            except Undecodable as error:
                quarantined.append((self.dataset.name(index), str(error), str(label)))
                continue
            content, height, width, changes = jpeg
            done.update(changes)
            classes = b"" if mask is None else bytes(mask)
            if mask is not None:
                pixels += np.bincount(numbers_in(mask).reshape(-1), minlength=256)
            samples.append((label, height, width, len(content), len(classes)))
            images.append(content)
            masks.append(classes)
        begin(NOTHING)
        file = io.BytesIO()
        np.savez(
            file,
            samples=np.array(samples, SAMPLE),
            images=np.frombuffer(b"".join(images), np.uint8),
            masks=np.frombuffer(b"".join(masks), np.uint8),
            quarantined=np.array(quarantined, np.str_).reshape(-1, 3),
            done=np.array([(what, str(count)) for what, count in done.items()], np.str_).reshape(-1, 2),
            pixels=pixels,
        )
        Fence.here().check()
        durable.write_bytes(self._path(number), file.getvalue())
        return len(self._samples(number))

    def summary(self) -> Summary:
        """What all parts hold together; images are not read.

        Raises:
            DataError: a part is missing or damaged.
        """
        count, largest, quarantined, done = 0, 0, [], Counter[str]()
        good: set[int] = set()
        bad: set[int] = set()
        pixels = np.zeros(256, np.int64)
        for part in self._read("samples", "quarantined", "done", "pixels"):
            count += len(part["samples"])
            sizes = part["samples"]["image_bytes"] + part["samples"]["mask_bytes"]
            largest = max(largest, int(sizes.max(initial=0)))
            quarantined += [Quarantined(str(file), str(reason)) for file, reason, _ in part["quarantined"]]
            good |= set(part["samples"]["label"].tolist())
            bad |= {int(label) for *_, label in part["quarantined"]}
            done.update({str(what): int(images) for what, images in part["done"]})
            pixels += part["pixels"]
        emptied, changes = tuple(sorted(bad - good)), dict(sorted(done.items()))
        return Summary(count, largest, tuple(quarantined), emptied, changes, tuple(pixels.tolist()))

    def __iter__(self) -> Iterator[Encoded]:
        """The good samples, in their order; DataError as for `summary`."""
        return self.after(0)

    def after(self, passed: int) -> Iterator[Encoded]:
        """The good samples but for so many of the first; parts that hold none but these are not read whole."""
        for number in self._numbers():
            samples = self._arrays(number, "samples")["samples"]
            if passed >= len(samples):
                passed -= len(samples)
                continue
            part = self._arrays(number, "images", "masks")
            image_start, mask_start = (int(samples[name][:passed].sum()) for name in ("image_bytes", "mask_bytes"))
            samples, passed = samples[passed:], 0
            for label, height, width, image_bytes, mask_bytes in samples.tolist():
                image = part["images"][image_start : image_start + image_bytes]
                mask = part["masks"][mask_start : mask_start + mask_bytes]
                yield Encoded(image, height, width, label, mask)
                image_start += image_bytes
                mask_start += mask_bytes

    def sizes(self) -> Iterator[int]:
        """Bytes of image and mask together of each good sample; DataError as for `summary`."""
        for part in self._read("samples"):
            yield from (part["samples"]["image_bytes"] + part["samples"]["mask_bytes"]).tolist()

    def remove(self) -> None:
        """Delete all parts."""
        Fence.here().check()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _prepare(self) -> None:
        """Begin anew where the folder holds the parts of something else."""
        about = self.folder / "contents.json"
        # As text: what JSON cannot tell apart, such as tuples and lists, is equal.
        expected = json.dumps({"format": FORMAT, "part_size": PART_SIZE, **asdict(self.contents)}, indent=2) + "\n"
        if about.exists() and about.read_text() == expected:
            return
        self.remove()
        durable.make_folder(self.folder)
        durable.write_text(about, expected)

    def _read(self, *names: str) -> Iterator[dict[str, NDArray[Any]]]:
        """These arrays of each part in turn."""
        return (self._arrays(number, *names) for number in self._numbers())

    def _arrays(self, number: int, *names: str) -> dict[str, NDArray[Any]]:
        """These arrays of a part."""
        try:
            with np.load(self._path(number)) as part:
                return {name: part[name] for name in names}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            self._path(number).unlink(missing_ok=True)
            raise DataError(
                f"{self._path(number)}: this part is damaged ({error}); run again to make it anew"
            ) from error

    def _numbers(self) -> range:
        return range(-(-len(self.dataset) // PART_SIZE))

    def _samples(self, number: int) -> range:
        return range(number * PART_SIZE, min((number + 1) * PART_SIZE, len(self.dataset)))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.npz"


def wanted(dataset: Dataset, encoding: Encoding) -> Contents:
    """What a file is asked to hold: the encoding is a part of it where the images are image files."""
    contents = dataset.contents
    if contents.storage == "pixels":
        return contents
    return replace(contents, options={**contents.options, **asdict(encoding)})


def as_pixels(image: NDArray[np.uint8]) -> tuple[bytes, int, int, tuple[str, ...]]:
    """Pixels (H, W, 3) as bytes, with height and width; nothing was done to them."""
    height, width, _ = image.shape
    return image.tobytes(), height, width, ()


def numbers_in(mask: bytes | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The numbers (H, W) of a sample's mask."""
    if not isinstance(mask, bytes):
        return mask
    with opened(mask) as image:
        return np.asarray(image)


_inherited: Parts
_desks: Desks
"""In a worker process: what it works on, and where it says how far it is."""


def start_worker(parts: Parts, desks: Desks) -> None:
    """Make this process end with its parent, also where that has ended already."""
    global _inherited, _desks
    _inherited, _desks = parts, desks
    desks.sit()
    die_with_parent(signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is None or not parent.is_alive():
        os._exit(1)


def encode_part(number: int) -> int:
    """`Parts.encode_part` in a worker process; its answer alone travels between processes."""
    return _inherited.encode_part(number, _desks.begin)
