"""Imports one plugin and says what it brings: the process that `launcher.plugins.ask` starts, and ends if it hangs.

    python -P -m launcher.plugins.importing STAGE WHAT

WHAT is a JSON object: `module` to import, or `declared` entry points to check, `places` of the plugin's files, and the
modules of `others`. The answer is one on stdout, `offers` and `loads_torch`, or `error`. What the plugin prints itself
goes to stderr.
"""

import importlib
import inspect
import json
import os
import sys
import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import Any, get_args

from locat.config import JobConfig
from locat.config.datasets import Source
from locat.contract import plugins
from locat.contract.plugins import subclass_of

CHECKS = {"locat.tasks": subclass_of(JobConfig, "entry"), "locat.datasets": subclass_of(Source, "reader")}
"""Of the groups that the launcher itself imports; a model is imported by jobs alone."""
NOT_OURS = ("timm", "locat")
"""Packages whose models are there without a plugin."""


def main() -> None:
    stage, what = sys.argv[1], json.loads(sys.argv[2])
    answer = os.dup(1)
    os.dup2(2, 1)
    sys.path.append(stage)
    try:
        said = _declared(what["declared"]) if what["declared"] else _found(what["module"], what["others"])
    except BaseException as error:  # a plugin may do anything, and leave Python too
        said = {"error": described(error, what["places"])}
    os.write(answer, json.dumps(said).encode())
    sys.stdout.flush()
    os._exit(0)  # whatever threads it has started


def _declared(offers: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Entry points whose classes can be had."""
    for group, check in CHECKS.items():
        for name, value in offers.get(group, {}).items():
            module, _, attribute = (word.strip() for word in value.partition(":"))
            found: object = importlib.import_module(module)
            for word in filter(None, attribute.split(".")):
                found = getattr(found, word)
            if _name_of(check(found), "task" if group == "locat.tasks" else "name") != name:
                raise TypeError(f"entry point {name} = {value} ({group}): the class has another name as its Literal")
    return {"offers": offers, "loads_torch": "torch" in sys.modules}


def _found(name: str, others: list[str]) -> dict[str, Any]:
    """What a module brings, by what is there once it is imported; `others` are the modules of other plugins."""
    module = importlib.import_module(name)
    offers: dict[str, dict[str, str]] = {}
    for kind, group, key, worker in (
        (JobConfig, "locat.tasks", "task", "entry"),
        (Source, "locat.datasets", "name", "reader"),
    ):
        for config in _classes(module, kind):
            called = _name_of(config, key)
            if called and getattr(config, worker):
                offers.setdefault(group, {})[called] = f"{config.__module__}:{config.__qualname__}"
    for made in list(vars(module).values()):
        if (group := plugins.makes(made)) and made.__module__ == name:
            offers.setdefault(group, {})[made.__name__] = f"{name}:{made.__name__}"
    if registered := {called: name for called in _registered(others)}:
        offers[plugins.MODELS] = {**offers.get(plugins.MODELS, {}), **registered}
    return {"offers": offers, "loads_torch": "torch" in sys.modules}


def _classes(module: ModuleType, kind: type) -> Iterator[type]:
    """Classes of a kind that the module, or what lies in its package, defines."""
    inside = [each for name, each in sys.modules.items() if f"{name}.".startswith(f"{module.__name__}.")]
    found = {id(each): each for part in inside for each in list(vars(part).values()) if inspect.isclass(each)}
    for each in found.values():
        if issubclass(each, kind) and f"{each.__module__}.".startswith(f"{module.__name__}."):
            yield each


def _name_of(config: Any, key: str) -> str:
    """What a pipeline calls a task or dataset: the Literal of its key; empty for one that others derive from."""
    field = config.model_fields.get(key)
    names = get_args(field.annotation) if field else ()
    return names[0] if len(names) == 1 and isinstance(names[0], str) else ""


def _registered(others: list[str]) -> list[str]:
    """Models that timm knows now, and that neither it nor another plugin brought, by these modules.

    Raises:
        ValueError: one has taken the place of timm's own.
    """
    timm: Any = sys.modules.get("timm.models")
    if timm is None:
        return []
    entries = {name: timm.model_entrypoint(name) for name in timm.list_models()}
    known = (*NOT_OURS, *others)
    found = [name for name, entry in entries.items() if entry.__module__.partition(".")[0] not in known]
    for name in found:
        own = getattr(timm, name, None)
        if own is not None and own is not entries[name]:
            raise ValueError(f"registers the model {name!r}, which timm has itself; give it another name")
    return found


def described(error: BaseException, places: list[str]) -> str:
    """Where in the plugin something failed, and how, on one line."""
    said = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
    if isinstance(error, SyntaxError) and error.filename:
        return f"{os.path.realpath(error.filename)}, line {error.lineno}: {type(error).__name__}: {error.msg}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = os.path.realpath(frame.filename)
        if any(file == place or file.startswith(f"{place}{os.sep}") for place in places):
            return f"{file}, line {frame.lineno}: {said}"
    return said


if __name__ == "__main__":
    main()
