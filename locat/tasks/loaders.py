"""What the training tasks share in reading their data."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from locat.config import HummingbirdConfig, KnnConfig, TrainingConfig
from locat.config.training import Data
from locat.contract import durable
from locat.data.beton import open_manifest, verify_manifest
from locat.data.loader import Loader
from locat.data.reader import ReadSettings
from locat.data.views import View, Whole
from locat.engine.distributed import Ranks
from locat.engine.strategies import micro_batch_size


def open_loaders(
    config: TrainingConfig,
    ranks: Ranks,
    target: Literal["label", "mask"],
    *,
    train_views: Sequence[View] = (Whole(),),
    val_views: Sequence[View] = (Whole(),),
    one_by_one: bool = False,
) -> tuple[Loader, Loader]:
    """Loaders of the training and the evaluation set, once the main rank has verified the files.

    The evaluation set comes in batches of one forward pass, or `one_by_one` on each rank.
    """
    verify(config.data, ranks)

    settings = read_settings(config, ranks)
    own = 1 if one_by_one else micro_batch_size(config, ranks)
    one_pass = replace(settings, batch_size=own * ranks.world_size)
    return (
        Loader(config.data.train, settings, views=train_views, train=True, target=target),
        Loader(config.data.val, one_pass, views=val_views, target=target),
    )


def read_settings(config: TrainingConfig | KnnConfig | HummingbirdConfig, ranks: Ranks) -> ReadSettings:
    """How this rank reads the batches of a job."""
    return ReadSettings(
        config.batch_size, config.seed, ranks.rank, ranks.world_size, config.loader_threads, ranks.device
    )


def verify(data: Data, ranks: Ranks) -> None:
    """Let the main rank verify both files while the others wait; raises as `verify_once`."""
    if ranks.is_main:
        for one in (*data.train, *data.val):
            verify_once(one.path)
    ranks.barrier()


def verify_once(path: Path) -> None:
    """Verify a file's digest, unless that was done before and neither size nor time of change differ since.

    Of shards, which may be too many to be read first, the manifest alone is looked at: each sample is verified whenever
    it is read (locat/data/shards.py).

    What was verified is noted beside the file, where that folder can be written to: 150 GB take minutes to read.
    A change that keeps size and time, as of a failing disk, goes unseen until the note is deleted.

    Raises:
        DataError: the file is not what its manifest promises.
    """
    manifest, status = open_manifest(path), path.stat()
    if manifest.shards:
        return
    verified = {"sha256": manifest.sha256, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    note = path.with_name(f".{path.name}.verified")
    try:
        if json.loads(note.read_text()) == verified:
            return
    except (OSError, ValueError):
        pass  # none yet
    verify_manifest(path)
    with suppress(OSError):  # a read-only folder: verified again next time
        durable.write_json(note, verified)


def at_least_one(images: torch.Tensor) -> torch.Tensor:
    """`images` (n, 3, H, W), or a blank one where n is 0, as on some ranks in an evaluation's last batch.

    A sharded model must be called by all ranks together, and few models take no image at all.
    """
    return images if len(images) else images.new_zeros((1, *images.shape[1:]))
