"""Python as the launcher starts it, on every backend: it imports nothing from the folder that a verb is typed in."""

import os
import sys
from contextlib import suppress
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
"""What the launcher was imported from: of what runs in a run, the run's own copy of the code (`launcher.snapshot`)."""
SAFE_PATH = "-P"
"""Of `python`: leaves the current folder out of the path that modules are looked up on."""
MODES = {"PYTHONSAFEPATH": "1", "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:backslashreplace"}
"""Of every Python below one of the launcher's, its own children too: nothing is imported from where it runs, files are
UTF-8 whatever the locale, and what a stream cannot hold is escaped instead of ending the process."""


def module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module, in the interpreter that runs this one."""
    return [sys.executable, SAFE_PATH, "-m", name, *arguments]


def import_path(value: str) -> str:
    """PYTHONPATH without the entries that mean another folder wherever they are read; an empty one is the current."""
    return os.pathsep.join(entry for entry in value.split(os.pathsep) if os.path.isabs(entry))


def settle() -> None:
    """Have this process and all that it starts keep to this; before anything but the standard library is imported."""
    os.environ.update(MODES)
    if "PYTHONPATH" in os.environ:
        os.environ["PYTHONPATH"] = import_path(os.environ["PYTHONPATH"])
    named = {*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(HOME)}
    with suppress(FileNotFoundError):  # the current folder was deleted
        if (here := os.getcwd()) not in named:
            sys.path[:] = [entry for entry in sys.path if entry not in ("", ".", here)]
