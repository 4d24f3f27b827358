"""Datasets opened to be read: one .beton file, a folder of them, or several of these mixed."""

from collections.abc import Sequence
from pathlib import Path

from locat.config.sets import WeightedSet
from locat.contract.errors import ConfigError, DataError
from locat.data.beton import Manifest, open_manifest
from locat.data.datasets.base import Contents
from locat.data.samples import Samples
from locat.data.sharded import Sharded
from locat.data.stored import Stored

Source = Path | Sequence[WeightedSet]
"""What is read: a dataset, or such as are mixed."""


def manifest_of(source: Source) -> Manifest:
    """The manifest of a dataset, or one that several have together.

    Raises:
        ConfigError: they do not go together.
        DataError: one is missing or truncated.
    """
    sets = as_sets(source)
    manifests = [open_manifest(one.path) for one in sets]
    if is_one(sets):
        return manifests[0]
    from locat.data.mixture import mixed  # which imports torch, and `convert` mixes nothing

    return mixed(sets, manifests)


def open_samples(source: Source, seed: int | None = None) -> tuple[Contents, Samples]:
    """What a dataset holds, and its samples.

    Args:
        source: one dataset, or several.
        seed: of a training; None where each sample is read once.

    Raises:
        ConfigError: several do not go together, or are weighted where each sample is read once.
        DataError: it is missing, truncated or of another layout.
    """
    sets = as_sets(source)
    if seed is None and (weighted := [one for one in sets if one.weight != 1]):
        raise ConfigError(
            f"{weighted[0]}: only a training draws by weights, and here each image is read once; remove it"
        )
    manifests = [open_manifest(one.path) for one in sets]
    samples = [_opened(one.path, manifest) for one, manifest in zip(sets, manifests, strict=True)]
    if is_one(sets):
        return manifests[0].contents, samples[0]
    from locat.data.mixture import Mixture, mixed

    return mixed(sets, manifests).contents, Mixture(sets, samples, seed or 0)


def as_sets(source: Source) -> Sequence[WeightedSet]:
    """The datasets that a source stands for."""
    return (WeightedSet(path=source),) if isinstance(source, Path) else source


def is_one(sets: Sequence[WeightedSet]) -> bool:
    """Whether nothing is mixed."""
    return len(sets) == 1 and sets[0].weight == 1


def _opened(path: Path, manifest: Manifest) -> Samples:
    samples: Samples = Sharded(path, manifest) if manifest.shards else Stored(path)
    if len(samples) != manifest.contents.samples:
        raise DataError(f"{path}: {len(samples)} samples where its manifest says {manifest.contents.samples}")
    return samples
