"""Datasets opened to be read: one .beton file, or a folder of them."""

from pathlib import Path

from locat.contract.errors import DataError
from locat.data.beton import open_manifest
from locat.data.datasets.base import Contents
from locat.data.samples import Samples
from locat.data.sharded import Sharded
from locat.data.stored import Stored


def open_samples(path: Path) -> tuple[Contents, Samples]:
    """What a dataset holds, and its samples.

    Raises:
        DataError: it is missing, truncated or of another layout.
    """
    manifest = open_manifest(path)
    samples: Samples = Sharded(path, manifest) if manifest.shards else Stored(path)
    if len(samples) != manifest.contents.samples:
        raise DataError(f"{path}: {len(samples)} samples where its manifest says {manifest.contents.samples}")
    return manifest.contents, samples
