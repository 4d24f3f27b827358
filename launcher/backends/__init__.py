"""Where runs are scheduled: one file per backend behind `Backend`."""

from launcher.backends.base import Backend
from launcher.backends.local import LocalBackend

BACKENDS: dict[str, Backend] = {"local": LocalBackend()}
"""Every backend by the name `--backend` takes."""
