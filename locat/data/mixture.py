"""Several datasets read as one, each with a weight: how often an epoch takes each of its samples.

An epoch takes round(weight * n) of the n samples of a set, and where they are mixed their places are numbered one set
after another: these numbers are what the epoch's order shuffles, what a batch's `index` holds and by what crops and
augmentation are drawn, so that a sample that comes twice in an epoch is not cropped twice alike. Which sample a place
stands for is arithmetic as well: a set's samples are gone through in one order after another, a new one for each pass,
and each epoch goes on where the one before ended. So no sample comes a second time before all have come once, and
which come follows from (seed, epoch, place) alone, whatever the ranks and wherever training is resumed. Where an epoch
takes whole passes, as by a weight of 1, a place stands for the same sample in every epoch: sets with a weight of 1 give
the batches that one set of all their samples would give.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from locat.config.sets import WeightedSet, called
from locat.contract.errors import ConfigError
from locat.contract.names import one_line
from locat.data.beton import Manifest
from locat.data.counter import STREAM, Key
from locat.data.datasets.base import Contents
from locat.data.decode import IMAGE, Workspace
from locat.data.intake.brightness import KEYS
from locat.data.permutation import ROUNDS, permuted
from locat.data.samples import Found, Samples
from locat.data.shards import digest_of_all


class Mixture:
    """Sets that are read as one; see `samples.Samples`. `seed`: of which samples are taken where not all are."""

    def __init__(self, sets: Sequence[WeightedSet], stored: Sequence[Samples], seed: int) -> None:
        self.path = Path(called(sets))
        self._stored, self._seed = tuple(stored), seed
        self._taken = [taken(one.weight, len(samples)) for one, samples in zip(sets, stored, strict=True)]
        self._ends = np.cumsum(self._taken)

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def images(self) -> NDArray[np.void]:
        """All of decode.IMAGE, of each sample once."""
        return np.concatenate([stored.images for stored in self._stored])

    def workspace(self) -> Workspace:
        """One that grows."""
        return Workspace(np.empty(0, IMAGE))

    def find(self, samples: NDArray[np.int64], epoch: int = 0) -> "FoundInSets":
        """The samples that these places (n,) of an epoch stand for."""
        sets = np.searchsorted(self._ends, samples, side="right")
        return FoundInSets(
            sets, {int(number): self._in_set(int(number), samples[sets == number], epoch) for number in np.unique(sets)}
        )

    def _in_set(self, number: int, samples: NDArray[np.int64], epoch: int) -> Found:
        stored, count = self._stored[number], self._taken[number]
        places = samples - (self._ends[number] - count)
        key = Key.TAKEN + number * ROUNDS * STREAM
        return stored.find(samples_at(places, len(stored), count, self._seed, epoch, key), epoch)


class FoundInSets:
    """Some samples of a mixture; see `samples.Found`."""

    def __init__(self, sets: NDArray[np.int64], found: dict[int, Found]) -> None:
        self._sets, self._found = sets, found
        self._rows = np.empty(len(sets), np.int64)  # of each sample among those of its set
        self.images = np.empty(len(sets), IMAGE)
        for number, each in found.items():
            own = sets == number
            self._rows[own] = np.arange(own.sum())
            self.images[own] = each.images

    def labels(self) -> NDArray[np.int64]:
        labels = np.empty(len(self._sets), np.int64)
        for number, each in self._found.items():
            labels[self._sets == number] = each.labels()
        return labels

    def masks(self) -> NDArray[np.uint8]:
        each = {number: found.masks() for number, found in self._found.items()}
        return np.stack([each[number][row] for number, row in self._places()])

    def image_bytes(self, row: int) -> bytearray:
        return self._found[int(self._sets[row])].image_bytes(int(self._rows[row]))

    def mask_bytes(self, row: int) -> bytearray:
        return self._found[int(self._sets[row])].mask_bytes(int(self._rows[row]))

    def cut(self, rows: slice, cuts: NDArray[np.void], out: NDArray[np.uint8], workspace: Workspace) -> None:
        for place, (number, row) in enumerate(self._places()[rows]):
            found = self._found[number]
            workspace.make_room(found.images[row])
            found.cut(slice(row, row + 1), cuts[place : place + 1], out, workspace)

    def _places(self) -> list[tuple[int, int]]:
        """The set of each sample, and its row there."""
        return list(zip(self._sets.tolist(), self._rows.tolist(), strict=True))


def taken(weight: float, samples: int) -> int:
    """How many samples an epoch takes of a set that has so many: at least one."""
    return max(1, round(weight * samples))


def samples_at(
    places: NDArray[np.int64], samples: int, taken: int, seed: int, epoch: int, key: int
) -> NDArray[np.int64]:
    """The samples (n,) of a set of so many `samples` that stand at these places (n,), of 0 to `taken` - 1."""
    if taken % samples == 0:
        return places % samples
    passes, within = np.divmod(epoch * taken + places, samples)
    found = np.empty_like(places)
    for number in np.unique(passes).tolist():
        own = passes == number
        found[own] = permuted(within[own], samples, seed, number, key)
    return found


def mixed(sets: Sequence[WeightedSet], manifests: Sequence[Manifest]) -> Manifest:
    """One manifest for all sets: their contents, as many samples as an epoch takes, and their pixels as often.

    Raises:
        ConfigError: their classes or their images do not go together.
    """
    first, counts = (
        manifests[0],
        [taken(one.weight, m.contents.samples) for one, m in zip(sets, manifests, strict=True)],
    )
    for one, manifest in zip(sets[1:], manifests[1:], strict=True):
        _check_alike(sets[0].path, first.contents, one.path, manifest.contents)
    pixels = np.zeros(len(first.contents.mask_classes) + 1)
    for manifest, count in zip(manifests, counts, strict=True):
        if manifest.pixels:
            pixels += np.array([*manifest.pixels, manifest.ignored_pixels]) * (count / manifest.contents.samples)
    counted = all(manifest.pixels for manifest in manifests)
    sources = dict.fromkeys(manifest.contents.source for manifest in manifests)
    return Manifest(
        replace(first.contents, samples=sum(counts), source=" + ".join(sources)),
        digest_of_all(f"{m.sha256} {one.weight!r}" for m, one in zip(manifests, sets, strict=True)),
        sum(manifest.bytes for manifest in manifests),
        tuple(entry for manifest in manifests for entry in manifest.quarantined),
        pixels=tuple(pixels.round().astype(int).tolist())[:-1] if counted else (),
        ignored_pixels=round(pixels[-1]) if counted else 0,
    )


def _check_alike(path: Path, contents: Contents, other_path: Path, other: Contents) -> None:
    for what, own, others in (
        ("classes", contents.classes, other.classes),
        ("classes of masks", contents.mask_classes, other.mask_classes),
    ):
        if own != others:
            raise ConfigError(
                f"{other_path}: its {what} are not those of {path}, with which it is mixed "
                f"({_difference(own, others)}); convert both with the same classes in the same order"
            )
    if contents.image_size != other.image_size:
        raise ConfigError(
            f"{other_path}: its images are {_size(other)}, those of {path}, with which it is mixed, {_size(contents)}; "
            "convert both alike"
        )
    if any(contents.options.get(key) != other.options.get(key) for key in KEYS):
        raise ConfigError(
            f"{other_path}: what is white in its images is not what it is in {path}, with which it is mixed; convert "
            f"both with the same {' and '.join(KEYS)}"
        )


def _difference(own: tuple[str, ...], others: tuple[str, ...]) -> str:
    for number, (one, other) in enumerate(zip(own, others, strict=False)):
        if one != other:
            return f"number {number} is {one_line(other)}, not {one_line(one)}"
    return f"{len(others)}, not {len(own)}"


def _size(contents: Contents) -> str:
    return "of several sizes" if contents.image_size is None else f"of {contents.image_size} pixels a side"
