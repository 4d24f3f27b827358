"""Objects as YAML that people can read: longer texts stand line by line."""

from collections.abc import Iterable
from typing import Any

import yaml

from locat.contract.yaml_text import Dumper


class _Dumper(Dumper):
    """Also of texts over several lines."""


def _text(dumper: _Dumper, value: str) -> yaml.Node:
    return dumper.text(value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def to_yaml(objects: Iterable[dict[str, Any]]) -> str:
    """One document an object."""
    text: str = yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=120, explicit_start=True)
    return text
