"""FFCV .beton files that are complete and vouched for by a manifest, or not there; or a folder of such, its shards.

`train.beton` is put together under another name from parts (locat/data/parts.py), fsynced and renamed; then its
manifest `train.beton.json` says what is inside, with size and digest. The same contents give the same bytes,
whatever the number of processes and however often they were killed. A folder `train.beton/` of shards
(locat/data/shards.py) has its manifest at the same place.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from locat.contract import durable
from locat.contract.errors import DataError, JobError
from locat.contract.fence import Fence
from locat.contract.names import one_line
from locat.data.datasets.base import Contents, Dataset
from locat.data.encode import Encoding
from locat.data.ffcv_writer import write_samples
from locat.data.labels import IGNORED
from locat.data.parts import READ_TIMEOUT, Parts, Quarantined
from locat.data.shard_writer import write_shards
from locat.data.shards import INDEX, Shard, digest_of, index_path, shard_path

logger = logging.getLogger(__name__)

FORMAT = 2
OF_SHARDS = 3
"""The format of a manifest of shards, which older versions cannot read."""
SHOWN = 3  # files in a message
DEFAULT_ENCODING = Encoding()


@dataclass(frozen=True)
class InTrain:
    """How many of the images a training set holds as well, byte for byte as they are stored."""

    images: int
    examples: tuple[str, ...]
    """Names of the first of them."""
    train: str
    """sha256 of the training set's file."""


@dataclass(frozen=True)
class Manifest:
    """What a complete file holds."""

    contents: Contents
    """`samples` counts those in the file, without the quarantined ones."""
    sha256: str
    bytes: int
    quarantined: tuple[Quarantined, ...]
    """Images that could not be decoded; they are left out."""
    done: dict[str, int] = field(default_factory=dict)
    """What was done to images beyond encoding them, such as dropping their transparency, and to how many."""
    in_train: InTrain | None = None
    """Of evaluation images."""
    pixels: tuple[int, ...] = ()
    """Of each class in the masks; empty where there are no masks, or an older version wrote the file."""
    ignored_pixels: int = 0
    """Pixels of the masks that are of no class."""
    shards: tuple[Shard, ...] = ()
    """Empty where there is one file; `sha256` and `bytes` are otherwise of all of them together."""
    shard_bytes: int = 0
    """Of a shard at most."""
    index_sha256: str = ""
    """Of the records of all samples."""


def write(
    path: Path,
    dataset: Dataset,
    workers: int,
    progress: Callable[[int], None],
    encoding: Encoding = DEFAULT_ENCODING,
    most_bad: float = 0.0,
    read_timeout: float = READ_TIMEOUT,
    all_classes: bool = False,
    shard_bytes: int = 0,
) -> Manifest:
    """Write `dataset` to `path` with `workers` processes, unless it is there; `progress` gets the samples encoded.

    Killed, or failed, it goes on where it was. The parts need as much room as the file, until it is complete. With
    `shard_bytes`, `path` becomes a folder of shards that have at most so many.

    Raises:
        DataError: more than the share `most_bad` of the images, or all of a class, cannot be decoded, and are listed
            in `bad_path(path)`; or a sample cannot be read; or, with `all_classes`, a class of the masks has no pixel.
        JobError: nothing can be written, a process died, or a sample took more than `read_timeout` seconds.
    """
    parts = Parts(path.with_name(f".{path.name}.parts"), dataset, encoding)
    manifest = current(path, parts.contents, most_bad, shard_bytes)
    if manifest is None:
        parts.encode(workers, progress, read_timeout)
        manifest = put_together(path, parts, most_bad, all_classes, shard_bytes)
    progress(len(dataset))
    parts.remove()
    return manifest


def current(path: Path, contents: Contents, most_bad: float = 0.0, shard_bytes: int = 0) -> Manifest | None:
    """The manifest of `path` where that holds exactly `contents` already, by digest, but for so many bad images, in
    shards of this size."""
    try:
        manifest = verify_manifest(path)
    except DataError:
        return None
    bad = len(manifest.quarantined)
    if manifest.shard_bytes != shard_bytes:
        return None
    if replace(manifest.contents, samples=manifest.contents.samples + bad) != contents:
        return None
    return manifest if bad <= most_bad * contents.samples else None


def put_together(
    path: Path, parts: Parts, most_bad: float, all_classes: bool = False, shard_bytes: int = 0
) -> Manifest:
    """Write file and manifest from complete parts; see `write`."""
    summary = parts.summary()
    total, bad = parts.contents.samples, summary.quarantined
    fence = Fence.here()
    fence.check()
    bad_path(path).unlink(missing_ok=True)
    if len(bad) > most_bad * total or not summary.samples:
        durable.write_json(bad_path(path), [asdict(entry) for entry in bad])
        few = described(bad[:SHOWN])
        raise DataError(
            f"{path}: {len(bad)} of {total} images ({len(bad) / total:.3%}) cannot be decoded, where most_bad allows "
            f"{most_bad:.3%} ({few}; all are listed in {bad_path(path).name}); mend or remove them, or raise most_bad"
        )
    if summary.emptied:
        durable.write_json(bad_path(path), [asdict(entry) for entry in bad])
        names = ", ".join(one_line(parts.contents.classes[label]) for label in summary.emptied[:SHOWN])
        raise DataError(
            f"{path}: no image of {len(summary.emptied)} of the classes ({names}) can be decoded "
            f"({described(bad[:SHOWN])}; all are listed in {bad_path(path).name}); mend or remove them"
        )
    classes = parts.contents.mask_classes
    pixels = summary.pixels[: len(classes)]
    if all_classes and (absent := [name for name, count in zip(classes, pixels, strict=True) if not count]):
        few = ", ".join(map(one_line, absent[:SHOWN]))
        raise DataError(
            f"{path}: no mask has a pixel of {len(absent)} of the {len(classes)} classes ({few}), so that no model can "
            "learn them; remove them from the classes, or add masks with them"
        )
    logger.info("putting %s together from its parts", path)
    manifest = Manifest(
        replace(parts.contents, samples=summary.samples),
        "",
        0,
        bad,
        summary.done,
        pixels=pixels,
        ignored_pixels=summary.pixels[IGNORED] if classes else 0,
    )
    try:
        if shard_bytes:
            manifest_path(path).unlink(missing_ok=True)  # an old one must never stand beside new files
            written = write_shards(path, parts, summary, shard_bytes)
            manifest = replace(
                manifest,
                sha256=digest_of(written.shards),
                bytes=sum(shard.bytes for shard in written.shards),
                shards=written.shards,
                shard_bytes=shard_bytes,
                index_sha256=written.index_sha256,
            )
        else:
            with fence.replacing(path) as temporary:
                write_samples(temporary, parts, summary, parts.contents)
                durable.sync_file(temporary)
                manifest = replace(manifest, sha256=durable.sha256(temporary), bytes=temporary.stat().st_size)
                fence.check()
                manifest_path(path).unlink(missing_ok=True)
                if path.is_dir():
                    shutil.rmtree(path)
    except OSError as error:
        raise JobError(f"{path}: cannot be written: {error!r}") from error
    durable.sync_folder(path.parent)
    write_manifest(path, manifest)
    return manifest


def described(bad: Iterable[Quarantined]) -> str:
    """Some files with the reasons why they are left out."""
    return "; ".join(f"{one_line(entry.file)}: {entry.reason}" for entry in bad)


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write the manifest of `path`; Superseded where a newer attempt of the job has begun."""
    Fence.here().check()
    values = asdict(manifest)
    if not manifest.shards:
        values = {key: value for key, value in values.items() if key not in ("shards", "shard_bytes", "index_sha256")}
    durable.write_json(manifest_path(path), {"format": OF_SHARDS if manifest.shards else FORMAT, **values})


def open_manifest(path: Path) -> Manifest:
    """The manifest of a file whose size is right; of shards no size is looked at before one is read.

    Raises:
        DataError: file or manifest are missing, or do not belong together.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; `convert` writes it")
    try:
        values = json.loads(manifest_path(path).read_text())
        version = values.pop("format")
        if version in (FORMAT, OF_SHARDS):
            contents = values.pop("contents")
            for key in ("classes", "mask_classes"):
                contents[key] = tuple(contents[key])
            quarantined = tuple(Quarantined(**entry) for entry in values.pop("quarantined"))
            if (in_train := values.pop("in_train", None)) is not None:
                in_train = InTrain(in_train["images"], tuple(in_train["examples"]), in_train["train"])
            values["pixels"] = tuple(values.get("pixels", ()))
            values["shards"] = tuple(map(Shard._make, values.get("shards", ())))
            manifest = Manifest(Contents(**contents), **values, quarantined=quarantined, in_train=in_train)
    except FileNotFoundError as error:
        raise DataError(f"{path}: its manifest {manifest_path(path).name} is missing; convert it again") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{manifest_path(path)}: not a manifest ({error!r}); convert {path.name} again") from error
    if version not in (FORMAT, OF_SHARDS):
        raise DataError(
            f"{path}: its manifest has format {version}, this version reads {FORMAT} and {OF_SHARDS}; convert it again"
        )
    if path.is_dir() != bool(manifest.shards):
        raise DataError(f"{path}: its manifest is of {'shards' if manifest.shards else 'one file'}; convert it again")
    if manifest.shards:
        _check_shards(path, manifest)
        return manifest
    size = path.stat().st_size
    if size != manifest.bytes:
        raise DataError(f"{path}: {size} bytes where its manifest says {manifest.bytes}; convert it again")
    return manifest


def _check_shards(path: Path, manifest: Manifest) -> None:
    """Raise DataError unless the manifest agrees with itself, and the records are as many as it says."""
    samples = sum(shard.samples for shard in manifest.shards)
    if digest_of(manifest.shards) != manifest.sha256 or samples != manifest.contents.samples:
        raise DataError(f"{manifest_path(path)}: its shards are not those that were written; {converted_by(path)}")
    index, expected = index_path(path), samples * INDEX.itemsize
    try:
        size = index.stat().st_size
    except OSError as error:
        raise DataError(f"{index}: cannot be read ({error}); {converted_by(path)}") from error
    if size != expected:
        raise DataError(f"{index}: {size} bytes where {expected} are expected; {converted_by(path)}")


def converted_by(path: Path) -> str:
    """What is to be done where a dataset is damaged, and by which job if it lies among one's outputs."""
    job = path.resolve().parents[1:4] if path.parent.name == "outputs" else ()
    if len(job) < 3 or job[1].name != "jobs":
        return "convert it again"
    return f"convert it again (job {job[0].name} of run {job[2].name})"


def verify_manifest(path: Path) -> Manifest:
    """Like `open_manifest`, and the content has the promised digest; reads the whole file.

    Raises:
        DataError: also where the content has been altered.
    """
    manifest = open_manifest(path)
    if manifest.shards:
        for number, shard in enumerate(manifest.shards):
            _verify(shard_path(path, number), shard.sha256, path)
        _verify(index_path(path), manifest.index_sha256, path)
        return manifest
    if durable.sha256(path) != manifest.sha256:
        raise DataError(f"{path}: its content is not what its manifest's digest says; convert it again")
    return manifest


def _verify(file: Path, sha256: str, path: Path) -> None:
    """Raise DataError unless a file of the dataset `path` has this digest."""
    try:
        found = durable.sha256(file)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error}); {converted_by(path)}") from error
    if found != sha256:
        raise DataError(f"{file}: its content is not what the manifest's digest says; {converted_by(path)}")


def manifest_path(path: Path) -> Path:
    """Where the manifest of a .beton file lies."""
    return path.with_name(f"{path.name}.json")


def bad_path(path: Path) -> Path:
    """Where the undecodable images are listed when there were too many to write the .beton file."""
    return path.with_name(f"{path.name}.bad.json")
