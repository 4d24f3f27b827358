"""The pipelines that LocAt comes with, for `launcher init --example`."""

from pathlib import Path

import click

from launcher import interpreter
from locat.contract.errors import UserError
from locat.contract.problems import did_you_mean

INSTALLED = Path(__file__).parents[1] / "pipelines"
"""Where a wheel has them (setup.py)."""
FOLDER = INSTALLED if INSTALLED.is_dir() else interpreter.HOME / "pipelines"
"""Where they lie: of a checkout, or of an image, beside the code."""
SCHEMA = FOLDER / "schema.json"


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """What a shell offers at the tab key."""
    return [name for name in names() if name.startswith(incomplete)]


def text(name: str, file: str) -> str:
    """The pipeline of this name; the commands that its head quotes take `file`, as a shell reads it.

    Raises:
        UserError: there is none.
    """
    known = names()
    if name not in known:
        raise UserError(f"--example {name}: there are {', '.join(known)}{did_you_mean(name, known)}")
    whole = (FOLDER / f"{name}.yaml").read_text()
    return whole.replace("# yaml-language-server: $schema=schema.json\n", "").replace(f"pipelines/{name}.yaml", file)
