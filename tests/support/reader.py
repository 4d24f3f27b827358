"""Somebody who does what the documents say."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from launcher.runs.find import list_runs
from launcher.runs.folder import RunFolder
from support.documents import ROOT

STAYS = (". ", "export ")
"""How a command begins that has an effect on those after it."""
ELSEWHERE = ("/shared/", "~/")
"""Folders that a reader of a test has in their own."""
SMALL: dict[str, Any] = {
    "convert": {"config": {"dataset": {"train_scenes": 128, "val_scenes": 33}}},
    "pretrain": {
        "matrix": {"model": ["locatvit_tiny"]},
        "config": {"epochs": 1, "batch_size": 32, "model": {"args": {"depth": 1}}},
    },
    "segment": {"matrix": {"model": ["locatvit_tiny"]}, "config": {"iterations": 3}},
}


@dataclass(frozen=True)
class Reader:
    """With files of the project in a folder, an environment and bash."""

    folder: Path
    environment: dict[str, str]
    shell: list[str] = field(default_factory=list)
    """What was said so far that stays."""

    @classmethod
    def with_files(cls, folder: Path, *names: str) -> "Reader":
        """With copies of these of the project's folders, and its programs."""
        for name in names:
            shutil.copytree(ROOT / name, folder / name)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LAUNCHER_")}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        return cls(folder, environment)

    def does(self, commands: str, codes: tuple[int, ...] = (0,)) -> str:
        """Run what the document says in bash; returns what it prints."""
        done = subprocess.run(
            self._bash(commands),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in codes, f"{commands}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        if commands.startswith(STAYS):
            self.shell.append(commands)
        return done.stdout

    def refused(self, command: str) -> str:
        """Run a command that ends with exit code 2; what it prints as the reason."""
        return self.does(f"{command} 2>&1", codes=(2,))

    @contextmanager
    def until_interrupted(self, command: str) -> Iterator[str]:
        """Start what ends by Ctrl-C, which it gets at the end; its first line."""
        process = subprocess.Popen(
            self._bash(command),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert process.stdout
        try:
            yield process.stdout.readline()
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=60)
        assert process.returncode == 0, command

    def _bash(self, commands: str) -> list[str]:
        return ["bash", "-euc", "\n".join([*self.shell, commands])]

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def run(self) -> RunFolder:
        """The newest."""
        return list_runs(self.runs)[0]

    def filled(self, command: str, job: str = "", file: str = "") -> str:
        """With the newest runs for RUN and OTHER-RUN, these for JOB and FILE, and folders of this reader's."""
        names = [run.name for run in list_runs(self.runs)]
        words = {**dict(zip(("RUN", "OTHER-RUN"), names, strict=False)), "JOB": job, "FILE": file}
        for folder in ELSEWHERE:
            command = command.replace(folder, f"{self.folder}/")
        return re.sub(r"\b(OTHER-RUN|RUN|JOB|FILE)\b", lambda match: words[match[0]], command)


def make_small(pipeline: Path) -> None:
    """Let the digits' pipeline take less than a minute: one model, hardly trained."""
    whole = pipeline.rename(pipeline.with_name("whole.yaml"))
    defaults = {"resources": {"processes": 1}}
    values = {"include": whole.name, "name": "digits", "defaults": defaults, "jobs": SMALL}
    pipeline.write_text(yaml.safe_dump(values))
