"""README.md and the documents about this machine, followed: their commands run, as they stand there."""

import re
import shlex
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from launcher.backends import look
from launcher.runs.find import list_runs
from support.documents import HERE, ROOT, blocks, calls
from support.reader import Reader, make_small

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

FOLLOWED = (
    *("docs/overview.md", "README.md", "docs/reports.md", "docs/reproducing.md", "docs/watch.md", "docs/local.md"),
    *("docs/clean.md", "docs/usage.md", "docs/pipeline-reference.md", "docs/troubleshooting.md"),
    *("docs/extend/README.md", "docs/estimates.md"),
)
"""In this order."""
OTHER = """\
name: other
jobs:
  convert: {task: convert, config: {dataset: {name: digits, train_scenes: 16, val_scenes: 16}}}
"""
PATIENCE = 300.0


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader.with_files(tmp_path, "pipelines")
    make_small(tmp_path / "pipelines" / "digits.yaml")
    (tmp_path / "other.yaml").write_text(OTHER)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    yield reader
    for run in list_runs(reader.runs):  # after a failure some may be left
        reader.does(f"launcher cancel {run.name} --grace 0")


def test_every_command_does_what_the_reader_expects(reader: Reader) -> None:
    commands = [command for name in FOLLOWED for command in calls((ROOT / name).read_text()) if command in HERE]
    assert set(commands) == HERE.keys()
    mlflow = ""
    with ExitStack() as until_the_end:
        for command in dict.fromkeys(commands):  # what several documents say is done once
            filled = reader.filled(command, "convert", "pipelines/digits.yaml")
            if command.startswith("launcher ui"):
                said = until_the_end.enter_context(reader.until_interrupted(filled))
                mlflow, _, key = re.search(r"http\S+", said)[0].partition("#")[0].partition("/?key=")
                until_it_answers(mlflow, key)
            elif "http://localhost:5000" in filled:
                said = reader.does(f"MLFLOW_TRACKING_TOKEN={key} {filled.replace('http://localhost:5000', mlflow)}")
            else:
                said = reader.does(filled)
            assert re.search(HERE[command], said, re.MULTILINE), f"{command}\n{said}"
            if command.startswith("launcher retry"):
                until_done(reader)
    report = (reader.folder / "tables" / "report.md").read_text()
    assert "| locatvit_tiny" in report

    (code,) = (block for language, block in blocks((ROOT / "README.md").read_text()) if language == "python")
    digits = next(run.name for run in list_runs(reader.runs) if run.name.startswith("digits-"))
    reader.does(shlex.join(["python", "-c", code.replace("RUN", digits)]))


def until_done(reader: Reader) -> None:
    """Wait for the newest run to be done, and its supervisor with it."""
    run = reader.run()
    deadline = time.monotonic() + PATIENCE
    while run.is_supervised():
        assert time.monotonic() < deadline, reader.does("launcher status")
        time.sleep(0.2)
    assert look(run, run.plan()).status == "done", reader.does("launcher status")


def until_it_answers(address: str, key: str) -> None:
    """Wait until MLflow's front page is there, for who has the key."""
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {key}"})
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5) as page:
                assert "MLflow" in page.read().decode()
                return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
