"""`--set jobs.pretrain.config.epochs=2`: values from the command line, put over those of the file."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

from locat.contract import yaml_source
from locat.contract.problems import KeyPath, PipelineError, Place, did_you_mean, dotted
from locat.contract.yaml_source import Source


def apply(source: Source, overrides: Sequence[str]) -> Source:
    """`source` with each `KEY=VALUE` put over it in turn; a value is YAML, a list's item is named by its position.

    The last key may be a new one, whether it means anything is the schema's to judge; those before it must exist.

    Raises:
        PipelineError: no `=`, a value that is not YAML, or a key that leads nowhere.
    """
    # `--set defaults.strategy=ddp` is meant for any pipeline, also one that says nothing of defaults.
    values = {"defaults": {}, "tracking": {}, **copy.deepcopy(source.values)}
    places = dict(source.places)
    elsewhere = dict(source.elsewhere)
    for override in overrides:
        key, equals, text = override.partition("=")
        place = Place(f"--set {key}")
        if not equals or not key:
            raise PipelineError.at(place, (), "expected KEY=VALUE, such as defaults.seed=1")
        value = yaml_source.parse(text, str(place)) if text else Source(None, {(): place})
        path = _put(values, key.split("."), value.values, place)
        if any(len(path) + len(inner) > yaml_source.MAX_DEPTH for inner in value.places):
            raise PipelineError.at(place, (), f"nested more than {yaml_source.MAX_DEPTH} deep")
        places = {old: at for old, at in places.items() if old[: len(path)] != path}
        elsewhere = {old: folder for old, folder in elsewhere.items() if old[: len(path)] != path}
        places.update({(*path, *inner): place for inner in value.places})
        for length in range(1, len(path)):
            places.setdefault(path[:length], place)
    return replace(source, values=values, places=places, elsewhere=elsewhere)


def _put(values: dict[str, Any], keys: list[str], value: Any, place: Place) -> KeyPath:
    """Put `value` at `keys`, and say which path that is."""
    path: KeyPath = ()
    parent: Any = values
    for key in keys[:-1]:
        index = _index(parent, key, path, place)
        path = (*path, index)
        if isinstance(parent, dict) and index not in parent:
            whole = reduce(lambda inner, outer: f"{{{outer}: {inner}}}", reversed(keys[len(path) :]), "...")
            remedy = f"; a new mapping is given whole: {dotted(path)}='{whole}'"
            raise PipelineError.at(place, path, f"no such key{did_you_mean(key, parent) or remedy}")
        parent = parent[index]
    last = _index(parent, keys[-1], path, place)
    parent[last] = value
    return (*path, last)


def _index(parent: Any, key: str, path: KeyPath, place: Place) -> Any:
    if isinstance(parent, dict):
        return key
    if isinstance(parent, list):
        positions = {str(position): position for position in range(len(parent))}
        if key in positions:
            return positions[key]
        raise PipelineError.at(place, (*path, key), f"{dotted(path)} is a list of {len(parent)}; name an item from 0")
    raise PipelineError.at(place, (*path, key), f"{dotted(path)} has no keys; set it as a whole")
