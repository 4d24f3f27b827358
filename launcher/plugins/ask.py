"""What a plugin brings, asked of another process: this one imports no torch, and waits for nothing without end."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from launcher import interpreter
from launcher.plugins.named import BadPluginError, Offers, Plugin
from launcher.snapshot import files, store
from locat.contract import durable, private

TIMEOUT = 60.0
"""Seconds a plugin may take to be imported; torch from a slow file system takes half of it."""
TORCH_FREE = ("locat.tasks", "locat.datasets")
"""Groups of which the launcher imports the classes."""
MOST_HASHED = 50_000_000
"""Bytes of a pipeline's plugins up to which answers are kept."""
MOST_KEPT = 200
"""Answers, of which the oldest go."""


def offers(stage: Path, plugin: Plugin, plugins: Sequence[Plugin]) -> Offers:
    """What a plugin brings. An answer is kept, by the content of all plugins: they may import one another.

    Args:
        stage: folder that all of them can be imported from.

    Raises:
        BadPluginError: it cannot be imported, takes too long, or what the launcher needs of it imports torch.
    """
    if plugin.declared and not any(group in plugin.declared for group in TORCH_FREE):
        return plugin.declared  # models, which jobs alone import
    kept = _kept(plugin, plugins)
    with suppress(OSError, ValueError):
        if kept is not None:
            found: Offers = json.loads(kept.read_text())
            return found
    said = _asked(stage, plugin, [name for each in plugins if each is not plugin for name in each.modules])
    if error := said.get("error"):
        raise BadPluginError(f"cannot be imported: {error}{_remedy(error, plugin)}")
    found = said["offers"]
    declared = [f"{name!r}" for group in TORCH_FREE for name in found.get(group, {})]
    if said["loads_torch"] and declared:
        raise BadPluginError(
            f"imports torch, and has the config of {', '.join(declared)}, which the launcher reads without;"
            " import torch within the functions that use it, or keep the config in a file of its own"
        )
    if kept is not None:
        with suppress(OSError):
            durable.write_text(kept, json.dumps(found))
            for old in sorted(kept.parent.iterdir(), key=lambda file: file.stat().st_mtime)[:-MOST_KEPT]:
                old.unlink()
    return found


def _asked(stage: Path, plugin: Plugin, others: Sequence[str]) -> dict[str, Any]:
    """The answer of `launcher.plugins.importing`."""
    what = {
        "module": plugin.module,
        "declared": plugin.declared,
        "places": [str(place) for place in plugin.modules.values()],
        "others": others,
    }
    command = interpreter.module("launcher.plugins.importing", str(stage), json.dumps(what))
    with (stage / "answer").open("w+b") as answer:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=answer,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **interpreter.MODES},
            start_new_session=True,
        )
        try:
            process.wait(TIMEOUT)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise BadPluginError(
                f"was still being imported after {TIMEOUT:g} s; what takes long, or waits, belongs into functions"
            ) from None
        answer.seek(0)
        try:
            said: dict[str, Any] = json.loads(answer.read())
        except ValueError:
            raise BadPluginError(f"ended Python while it was imported (exit code {process.returncode})") from None
    return said


def _remedy(error: str, plugin: Plugin) -> str:
    """What to do where a file imports one that lies beside it."""
    missing = re.search(r"No module named '(\w+)", error)
    if missing is None:
        return ""
    beside = (place.parent / name for place in plugin.modules.values() for name in (f"{missing[1]}.py", missing[1]))
    found = next((path for path in beside if path.exists()), None)
    return f"; name {found} under `plugins` too" if found else ""


def _kept(plugin: Plugin, plugins: Sequence[Plugin]) -> Path | None:
    """The file of an answer; None where none can be kept, as of what another installer may change."""
    if not plugin.modules:
        return None
    places = [place for each in plugins for place in each.modules.values()]
    walked = ((place.parent, name) for place in places for name in files.walk(place.parent, place.name))
    found = {name: folder / name for folder, name in walked if files.CACHE not in name.split("/")}
    try:
        if sum(path.stat().st_size for path in found.values()) > MOST_HASHED:
            return None
        about = repr((sys.prefix, sys.version, str(interpreter.HOME), plugin, store.digest_of(found)))
        folder = private.base() / "plugins"
        folder.mkdir(exist_ok=True)
    except (OSError, private.NoPlaceError):
        return None
    return folder / f"{hashlib.sha256(about.encode()).hexdigest()}.json"
