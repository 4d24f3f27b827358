"""Secrets: named in a pipeline, held by the environment of the shell that submits, written nowhere."""

import base64
import json
import os
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

from launcher.plan import Plan
from locat.contract.errors import ConfigError

SHORTEST = 8
"""Characters of a secret that is looked for: a shorter one occurs by chance, as `a` does in any plan."""
LONG = 16
"""Characters of one that is found inside a longer word as well."""
NAMES = frozenset({"task", "name", "group", "needs", "run_id", "pipeline", "backend", "secrets", "command"})
"""Keys of a plan whose values are words of the language, or names that are no place for a secret."""


def check(plan: Plan, from_shell: bool, written_as: Sequence[str] = ()) -> None:
    """Raise ConfigError unless this shell has what the plan names, and nothing holds what this shell has.

    Where jobs do not take them `from_shell`, only the latter is looked at.

    Args:
        written_as: texts that the plan was made of, comments and all.
    """
    missing = [name for name in plan.secrets if not os.environ.get(name)]
    if missing and from_shell:
        raise ConfigError(f"{plan.pipeline}: not set in this shell: {', '.join(missing)}; export them first")
    values = json.loads(plan.to_json())
    texts, words = list(_texts(values)), set(_texts(values, names=frozenset()))
    written = []
    for name in plan.secrets:
        secret = os.environ.get(name, "")
        # In a whole file what is a word of the plan's stands by chance.
        places = texts if secret in words else [*texts, *written_as]
        if any(_occurs(spelling, places) for spelling in spellings(secret)):
            written.append(name)
    if written:
        raise ConfigError(f"{plan.pipeline}: the value of {', '.join(written)} is written in it; remove it")


def spellings(secret: str) -> set[str]:
    """How a text may hold it; nothing of one that is too short to be looked for."""
    if len(secret) < SHORTEST:
        return set()
    data = secret.encode(errors="surrogateescape")
    in_base64 = {encode(data).decode().rstrip("=") for encode in (base64.b64encode, base64.urlsafe_b64encode)}
    in_quotes = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], secret.replace("'", "''")}
    return {secret, quote(data, safe=""), quote_plus(data), quote(data)} | in_quotes | in_base64


def _occurs(secret: str, texts: list[str]) -> bool:
    """Whether it stands in one of `texts`, by itself: not as a part of a longer word."""
    if len(secret) >= LONG:
        return any(secret in text for text in texts)
    whole = re.compile(rf"(?<![^\W_]){re.escape(secret)}(?![^\W_])")
    return any(whole.search(text) for text in texts)


def _texts(value: Any, names: Collection[str] = NAMES) -> Iterator[str]:
    """Every text that a user may have written into a plan; what stands under `names` is left out."""
    if isinstance(value, dict):
        for key, child in value.items():
            if key == "environment":
                yield from child.values()
            elif key not in names or not isinstance(child, str | list):
                yield from _texts(child, names)
    elif isinstance(value, list):
        for child in value:
            yield from _texts(child, names)
    elif isinstance(value, str):
        yield value
