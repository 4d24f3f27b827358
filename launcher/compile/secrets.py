"""Secrets: named in a pipeline, held by the environment of the shell that submits, written nowhere."""

import json
import os
import re
from collections.abc import Iterator
from typing import Any

from launcher.plan import Plan
from locat.contract.errors import ConfigError

SHORTEST = 8
"""Characters of a secret that is looked for: a shorter one occurs by chance, as `a` does in any plan."""
LONG = 16
"""Characters of one that is found inside a longer word as well."""
NAMES = frozenset({"task", "name", "group", "needs", "run_id", "pipeline", "backend", "secrets", "command"})
"""Keys of a plan whose values are words of the language, or names that are no place for a secret."""


def check(plan: Plan, from_shell: bool) -> None:
    """Raise ConfigError unless this shell has what the plan names, and the plan does not hold what this shell has.

    Where jobs do not take them `from_shell`, only the latter is looked at.
    """
    missing = [name for name in plan.secrets if not os.environ.get(name)]
    if missing and from_shell:
        raise ConfigError(f"{plan.pipeline}: not set in this shell: {', '.join(missing)}; export them first")
    texts = list(_texts(json.loads(plan.to_json())))
    written = [name for name in plan.secrets if _occurs(os.environ.get(name, ""), texts)]
    if written:
        raise ConfigError(f"{plan.pipeline}: the value of {', '.join(written)} is written in it; remove it")


def _occurs(secret: str, texts: list[str]) -> bool:
    """Whether it stands in one of `texts`, by itself: not as a part of a longer word."""
    if len(secret) < SHORTEST:
        return False
    if len(secret) >= LONG:
        return any(secret in text for text in texts)
    whole = re.compile(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])")
    return any(whole.search(text) for text in texts)


def _texts(value: Any) -> Iterator[str]:
    """Every text that a user may have written into a plan."""
    if isinstance(value, dict):
        for key, child in value.items():
            if key == "environment":
                yield from child.values()
            elif key not in NAMES or not isinstance(child, str | list):
                yield from _texts(child)
    elif isinstance(value, list):
        for child in value:
            yield from _texts(child)
    elif isinstance(value, str):
        yield value
