"""Datasets as their owners distribute them: one file per source."""

from collections.abc import Mapping
from pkgutil import resolve_name

from locat.config.source import Source
from locat.data.datasets.base import Dataset, Split


def open_dataset(dataset: Source) -> Mapping[Split, Dataset]:
    """The splits of a dataset, listed and checked; images are read later.

    Raises:
        DataError: the source is missing, or is not laid out as its owner distributes it.
    """
    # Imported when it is needed: scikit-learn and scipy take seconds.
    splits: Mapping[Split, Dataset] = resolve_name(dataset.reader)(dataset)
    return splits
