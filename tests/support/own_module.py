"""A module of a user's own, which jobs import and an editor changes."""

from pathlib import Path

import pytest

from launcher.snapshot import modules

AS_SUBMITTED = "VALUE = 'as submitted'\n"
BROKEN = "raise RuntimeError('edited after it was submitted')\n"


class OwnModule:
    """`answer.py`, of an editable package that brings something to this one."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.mkdir(parents=True)
        self.file = folder / "answer.py"
        self.file.write_text(AS_SUBMITTED)
        of_project = modules.editable(())
        monkeypatch.setattr(modules, "editable", lambda plugins: [*of_project, self.file])
        # An editable install lets every process find it, today's.
        monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")

    def breaks(self) -> None:
        self.file.write_text(BROKEN)
