"""The datasets that the `data` of a job's config names, in its plain form."""

from collections.abc import Iterator, Mapping
from typing import Any


def named_sets(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The use of each dataset, such as `train`, or `train.0` where it is one of several, and its path."""
    for use, sets in data.items():
        if isinstance(sets, list):
            for number, one in enumerate(sets):
                yield f"{use}.{number}", str(one["path"] if isinstance(one, Mapping) else one)
        else:
            yield use, str(sets)
