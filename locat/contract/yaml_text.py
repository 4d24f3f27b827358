"""Values -> YAML text that every parser reads as the same values.

PyYAML writes for YAML 1.1: a text such as `1e3` or `0o17` stands without quotes, and YAML 1.2, which is what this
project and Kubernetes read, takes it for a number. Here a text is quoted that either version would take for
something else.
"""

from typing import Any

import yaml

from locat.contract.yaml_source import is_text

_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class Dumper(_Base):  # type: ignore[misc]
    """Plain values alone, written out: no tags, no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def text(self, value: str, style: str | None = None) -> yaml.Node:
        """A text; in single quotes where it would be read as something else and no style is asked for."""
        if style is None and not is_text(value):
            style = "'"
        node: yaml.Node = self.represent_scalar("tag:yaml.org,2002:str", value, style=style)
        return node


Dumper.add_representer(str, Dumper.text)


def to_yaml(value: Any) -> str:
    """One document, its keys in the order they have."""
    text: str = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True)
    return text
